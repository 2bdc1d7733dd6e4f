//! Random lives of a session in virtual time: what is promised of its events holds in all of them.

use proptest::collection::vec;
use proptest::prelude::*;

use super::tests::event;
use super::*;
use crate::bayeux::ClientAdvice;
use crate::session::{Connect, EventsBy, StreamStep};

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
    /// Its client opens a stream, in place of any other.
    Attach,
    /// A stream that waits looks for events, and begins to write them.
    Take,
    /// The oldest writing stream has written so many of its events; all, or it is lost.
    Write { events: u8 },
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
        1 => Just(Step::Attach),
        3 => Just(Step::Take),
        3 => prop_oneof![Just(u8::MAX), 0u8..3].prop_map(|events| Step::Write { events }),
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
    /// The stream that is open, and those that write, oldest first.
    stream: Option<u64>,
    writing: Vec<(u64, Vec<Arc<Event>>)>,
    /// Whether the stream was told that there is something to write.
    stream_is_awake: bool,
    published: usize,
    received: Vec<usize>,
    is_alive: bool,
}

impl World {
    fn new(settings: Settings) -> Self {
        let now = Instant::now();
        let state = State::new(
            RandomId::from_random([0; 16]),
            false,
            &settings,
            &Begun::new(now),
        );
        Self {
            state,
            settings,
            now,
            held: None,
            displaced: Vec::new(),
            stream: None,
            writing: Vec::new(),
            stream_is_awake: false,
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
            Step::Attach => self.attach(),
            Step::Take => self.take_events(),
            Step::Write { events } => self.write(events.into()),
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
        self.note(wake);
        if lazy.is_none() {
            self.assert_somebody_knows();
        }
    }

    fn note(&mut self, wake: Wake) {
        assert!(!wake.connect || self.held.is_some(), "nobody to wake");
        assert!(!wake.stream || self.stream.is_some(), "nobody to wake");
        self.stream_is_awake |= wake.stream;
    }

    /// An event that does not wait is queued: whoever is there to write it has been woken, unless
    /// another writes, which will wake them.
    fn assert_somebody_knows(&self) {
        let is_known = match (self.stream, self.held) {
            _ if !self.writing.is_empty() => true,
            (Some(_), _) => self.stream_is_awake,
            (None, Some(_)) => self.is_resumed(),
            (None, None) => true,
        };
        assert!(is_known, "an event is waiting, and nobody knows");
    }

    fn is_resumed(&self) -> bool {
        self.state.held.as_ref().is_none_or(|held| held.is_resumed)
    }

    fn attach(&mut self) {
        let (ticket, _) = self.state.attach().expect("alive");
        self.stream = Some(ticket);
        self.stream_is_awake = true;
    }

    fn take_events(&mut self) {
        let Some(ticket) = self.stream else { return };
        if self.writing.iter().any(|(writing, _)| *writing == ticket) {
            return;
        }
        match self.state.next_for_stream(ticket, 70, &self.settings) {
            Some(StreamStep::Events { events, .. }) => {
                assert!(self.writing.is_empty(), "only one writes");
                self.writing.push((ticket, events));
            }
            None => self.stream_is_awake = false,
            Some(other) => panic!("{other:?}"),
        }
    }

    fn write(&mut self, count: usize) {
        if self.writing.is_empty() {
            return;
        }
        let (ticket, mut events) = self.writing.remove(0);
        let unwritten = events.split_off(count.min(events.len()));
        self.received
            .extend(events.iter().map(|event| number(event)));
        let is_open = self.stream == Some(ticket);
        if !unwritten.is_empty() {
            let wake = self.state.give_back(ticket, unwritten, &self.settings);
            self.note_from(ticket, wake);
        }
        if count > events.len() && is_open {
            // It goes on: its next look says that all is written.
            self.take_events();
            return;
        }
        if is_open {
            self.stream = None;
        }
        let wake = self.state.detach(ticket, &self.settings, self.now);
        self.note_from(ticket, wake);
        if self.state.queue.is_urgent() {
            self.assert_somebody_knows();
        }
    }

    /// The stream that lets go needs no waking itself.
    fn note_from(&mut self, ticket: u64, wake: Wake) {
        if self.stream == Some(ticket) {
            return;
        }
        self.note(wake);
    }

    fn connect(&mut self, timeout: Option<u8>) {
        let timeout = timeout.map(|seconds| Duration::from_secs(seconds.into()));
        let connect = Connect {
            advice: timeout.map(|timeout| ClientAdvice {
                timeout: Some(timeout),
                interval: None,
            }),
            may_be_held: true,
            lifetime: None,
            events_by: EventsBy::Replies,
            browser: None,
            by_http2: false,
            ack: None,
        };
        let _ = self.state.displace(connect.events_by);
        self.stream = None;
        self.displaced.extend(self.held.take());
        let connected = self
            .state
            .connect(&connect, true, &self.settings, self.now, || true);
        match connected {
            Connected::Held(ticket) => self.held = Some(ticket),
            Connected::Answer { .. } => self.respond(false),
            other => panic!("{other:?}"),
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
            assert_eq!(
                wake,
                Wake::NONE,
                "a batch's own events do not resume its session's connect"
            );
        }
        self.respond(is_lost);
        let wake = self.state.end_batch(&self.settings);
        assert!(!wake.connect || !was_resumed, "resumed twice");
        self.note(wake);
    }

    fn respond(&mut self, is_lost: bool) {
        let events = self.state.drain(&self.settings);
        if is_lost {
            let wake = self.state.end_reply(None, events, &self.settings);
            self.note(wake);
            return;
        }
        self.received
            .extend(events.iter().map(|event| number(event)));
    }

    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        while let Some(due) = self
            .state
            .next_deadline(&self.settings)
            .filter(|due| *due <= end)
        {
            self.now = self.now.max(due);
            let (wake, has_expired) = self.state.on_timer(Tick::at(self.now), &self.settings);
            self.note(wake);
            if has_expired {
                assert!(
                    self.held.is_none(),
                    "a session with a held connect does not expire"
                );
                self.is_alive = false;
                return;
            }
            let next = self.state.next_deadline(&self.settings);
            assert!(
                next.is_none_or(|next| next > self.now),
                "what was due was done"
            );
        }
        self.now = end;
    }

    /// The client comes back until it has everything.
    fn settle(&mut self) {
        while !self.writing.is_empty() {
            self.write(usize::MAX);
        }
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

/// Something that happens to a stream whose client asks for what it missed.
#[derive(Debug, Clone)]
enum Replayed {
    Deliver,
    /// The stream takes events, and so many of them arrive; the others are lost on their way.
    Write {
        arrive: u8,
    },
    /// The client comes again, with the last event that arrived.
    Reconnect,
}

proptest! {
    #[test]
    fn a_client_that_says_what_it_has_gets_the_rest(
        steps in vec(
            prop_oneof![
                3 => Just(Replayed::Deliver),
                2 => prop_oneof![Just(u8::MAX), 0u8..3].prop_map(|arrive| Replayed::Write { arrive }),
                1 => Just(Replayed::Reconnect),
            ],
            0..80,
        ),
    ) {
        let settings = Settings::default();
        let now = Instant::now();
        let mut state = State::new(RandomId::from_random([0; 16]), false, &settings, &Begun::new(now));
        let attach = |state: &mut State, last: Option<usize>| {
            let (ticket, _) = state.attach().expect("alive");
            prop_assert!(state.replay(last.map(|last| last as u64)).is_complete);
            Ok(ticket)
        };
        let mut ticket = attach(&mut state, None)?;
        let (mut published, mut received, mut is_lost) = (0, 0, false);
        for step in steps.into_iter().chain([Replayed::Reconnect, Replayed::Write { arrive: u8::MAX }]) {
            match step {
                Replayed::Deliver => {
                    let _ = state.deliver(&event(&published.to_string()), None, &settings);
                    published += 1;
                }
                Replayed::Write { arrive } if !is_lost => {
                    let taken = state.next_for_stream(ticket, u64::MAX, &settings);
                    let Some(StreamStep::Events { first, events }) = taken else { continue };
                    prop_assert_eq!(first, received as u64 + 1);
                    for event in events.iter().take(arrive.into()) {
                        prop_assert_eq!(number(event), received);
                        received += 1;
                    }
                    is_lost = events.len() > arrive.into();
                }
                Replayed::Write { .. } => {}
                Replayed::Reconnect => {
                    ticket = attach(&mut state, Some(received))?;
                    is_lost = false;
                }
            }
        }
        prop_assert_eq!(received, published);
    }
}
