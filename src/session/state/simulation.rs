//! Random lives of a session in virtual time: what is promised of its events holds in all of them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::event;
use super::*;

/// Something that happens to a session.
#[derive(Debug, Clone)]
enum Step {
    /// An event is published; a lazy one waits for so many seconds.
    Deliver { lazy: Option<u8> },
    /// Its client connects, and asks for a timeout.
    Connect { timeout: Option<u8> },
    /// Whoever holds the connect looks whether it was resumed; the response may be lost.
    Look { is_lost: bool },
    /// The held connect's client goes away.
    Leave,
    /// Its client publishes: a batch, whose response carries events, and may be lost.
    Batch { events: u8, is_lost: bool },
    /// Time passes.
    Wait { seconds: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let lazy = prop::option::weighted(0.3, 0u8..8);
    let timeout = prop::option::weighted(0.3, 0u8..40);
    let step = prop_oneof![
        4 => lazy.prop_map(|lazy| Step::Deliver { lazy }),
        4 => timeout.prop_map(|timeout| Step::Connect { timeout }),
        4 => any::<bool>().prop_map(|is_lost| Step::Look { is_lost }),
        1 => Just(Step::Leave),
        2 => (0u8..4, any::<bool>()).prop_map(|(events, is_lost)| Step::Batch { events, is_lost }),
        2 => (0u8..9).prop_map(|seconds| Step::Wait { seconds }),
    ];
    vec(step, 0..120)
}

/// A session, its client, and what the client has received.
struct World {
    state: State,
    settings: Settings,
    now: Instant,
    /// The connect that is held, by its ticket.
    held: Option<u64>,
    /// Connects that were displaced, whose holders have yet to notice.
    displaced: Vec<u64>,
    published: usize,
    received: Vec<usize>,
    is_alive: bool,
}

impl World {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let state = State::new(RandomId::from_random([0; 16]), false, &settings, now);
        Self {
            state,
            settings,
            now,
            held: None,
            displaced: Vec::new(),
            published: 0,
            received: Vec::new(),
            is_alive: true,
        }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Deliver { lazy } => self.deliver(lazy),
            Step::Connect { timeout } => self.connect(timeout),
            Step::Look { is_lost } => self.look(is_lost),
            Step::Leave => {
                if let Some(ticket) = self.held.take() {
                    self.state.release(ticket, &self.settings, self.now);
                }
            }
            Step::Batch { events, is_lost } => self.batch(events, is_lost),
            Step::Wait { seconds } => self.wait(Duration::from_secs(seconds.into())),
        }
    }

    fn deliver(&mut self, lazy: Option<u8>) {
        let lazy = lazy.map(|seconds| self.now + Duration::from_secs(seconds.into()));
        let event = event(&self.published.to_string());
        self.published += 1;
        let (pushed, wake) = self.state.deliver(&event, lazy, &self.settings);
        assert_eq!(pushed, Pushed::default());
        assert!(!wake || self.held.is_some(), "nobody to wake");
        let is_urgent = lazy.is_none() && self.held.is_some();
        assert!(
            !is_urgent || self.is_resumed(),
            "an event is waiting, and nobody knows"
        );
    }

    /// Tells whether the held connect was resumed: then, and only then, it has no deadline.
    fn is_resumed(&self) -> bool {
        self.state.next_deadline().is_none()
    }

    fn connect(&mut self, timeout: Option<u8>) {
        let timeout = timeout.map(|seconds| Duration::from_secs(seconds.into()));
        let connect = Connect {
            advice: timeout.map(|timeout| ClientAdvice {
                timeout: Some(timeout),
                interval: None,
            }),
            may_be_held: true,
            browser: None,
        };
        self.state.displace();
        self.displaced.extend(self.held.take());
        let connected = self
            .state
            .connect(&connect, &self.settings, self.now, || true);
        match connected {
            Connected::Held(ticket) => self.held = Some(ticket),
            Connected::Answer { .. } => self.respond(false),
            Connected::MultipleClients | Connected::Ended => panic!("{connected:?}"),
        }
    }

    fn look(&mut self, is_lost: bool) {
        for ticket in std::mem::take(&mut self.displaced) {
            let resumed = self.state.take_resumed(ticket, &self.settings, || self.now);
            assert_eq!(resumed, Some(Resume::Displaced));
        }
        let Some(ticket) = self.held else { return };
        match self.state.take_resumed(ticket, &self.settings, || self.now) {
            None => {}
            Some(Resume::Answer { .. }) => {
                self.held = None;
                self.respond(is_lost);
            }
            Some(other) => panic!("{other:?}"),
        }
    }

    fn batch(&mut self, events: u8, is_lost: bool) {
        let was_resumed = self.held.is_some() && self.is_resumed();
        self.state.begin_batch(&self.settings, self.now);
        for _ in 0..events {
            let event = event(&self.published.to_string());
            self.published += 1;
            let (_, wake) = self.state.deliver(&event, None, &self.settings);
            assert!(
                !wake,
                "a batch's own events do not resume its session's connect"
            );
        }
        self.respond(is_lost);
        let wake = self.state.end_batch();
        assert!(!wake || !was_resumed, "resumed twice");
    }

    fn respond(&mut self, is_lost: bool) {
        let events = self.state.drain(&self.settings);
        if is_lost {
            self.state.restore(events);
            return;
        }
        self.received
            .extend(events.iter().map(|event| number(event)));
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self.state.next_deadline().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            let (_, has_expired) = self.state.on_timer(self.now);
            if has_expired {
                assert!(
                    self.held.is_none(),
                    "a session with a held connect does not expire"
                );
                self.is_alive = false;
                return;
            }
            assert!(self.is_resumed(), "what was due was done");
        }
        self.now = end;
    }

    /// The client comes back until it has everything.
    fn settle(&mut self) {
        for _ in 0..self.published + 2 {
            self.connect(Some(0));
            self.look(false);
        }
    }
}

fn number(event: &Event) -> usize {
    let value: serde_json::Value = serde_json::from_slice(event.json()).expect("JSON");
    value["data"]
        .as_str()
        .and_then(|data| data.parse().ok())
        .expect("a number")
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn nothing_is_lost_repeated_or_reordered(steps in steps(), small_responses in any::<bool>()) {
        let mut settings = Settings::default();
        if small_responses {
            settings.max_response_size = bytesize::ByteSize(70);
        }
        let mut world = World::new(settings);
        for step in &steps {
            world.take(step);
            if !world.is_alive {
                break;
            }
        }
        let in_order = |world: &World| world.received.iter().copied().eq(0..world.received.len());
        prop_assert!(in_order(&world), "{:?}", world.received);
        if world.is_alive {
            world.settle();
            prop_assert!(in_order(&world), "{:?}", world.received);
            prop_assert_eq!(world.received.len(), world.published);
        }
    }
}
