//! Changes, bounds and waits, with a clock of their own.

use std::sync::atomic::AtomicUsize;
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, UNIX_EPOCH};

use super::*;
use crate::bayeux::Limits;

struct Rig {
    store: Arc<Resources>,
    metrics: Arc<Metrics>,
}

/// Counts how often it is woken.
#[derive(Default)]
struct Alarm(AtomicUsize);

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

impl Rig {
    fn new(max_resources: usize, max_bytes: u64) -> Self {
        let settings = Settings {
            max_resources,
            max_bytes: bytesize::ByteSize::b(max_bytes),
        };
        let metrics = Arc::new(Metrics::default());
        Self {
            store: Arc::new(Resources::new(settings, Arc::clone(&metrics))),
            metrics,
        }
    }

    fn roomy() -> Self {
        Self::new(100, 10_000)
    }

    fn write(&self, channel: &str, write: &Write) -> Result<Written, Unmet> {
        self.write_if(channel, write, &Conditions::default())
    }

    fn write_if(
        &self,
        channel: &str,
        write: &Write,
        conditions: &Conditions,
    ) -> Result<Written, Unmet> {
        self.store
            .write(&name(channel), write, conditions, second(7))
    }

    fn put(&self, channel: &str, data: &'static str) -> Version {
        let written = self.write(channel, &whole(data));
        written.expect("nothing forbids it").version
    }

    fn data(&self, channel: &str) -> Option<Bytes> {
        self.store.current(&name(channel))?.data
    }

    fn watch(&self, channel: &str, had: &Had) -> Watch {
        self.store.watch(&name(channel), had)
    }
}

fn name(channel: &str) -> ChannelName {
    ChannelName::parse(channel, &Limits::default()).expect("a channel")
}

fn whole(data: &'static str) -> Write {
    Write::Whole(Bytes::from_static(data.as_bytes()))
}

fn second(seconds: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(seconds)
}

fn poll(watch: &mut Watch) -> Poll<Woken> {
    watch.poll_changed(&mut Context::from_waker(Waker::noop()))
}

fn woken(watch: &mut Watch) -> Option<(Option<Bytes>, Option<Range<usize>>)> {
    match poll(watch) {
        Poll::Ready(Woken::Changed(current, range)) => Some((current.data, range)),
        Poll::Ready(Woken::Stopped) => panic!("nothing stops"),
        Poll::Pending => None,
    }
}

fn exactly(version: Version) -> Had {
    Had::Versions(Versions::OneOf(vec![version]))
}

#[test]
fn versions_differ_within_a_second_and_do_not_go_back() {
    let rig = Rig::roomy();
    let (first, second_one) = (rig.put("/a", "1"), rig.put("/a", "1"));
    assert_ne!(first, second_one);
    assert_eq!(first.modified(), second_one.modified());
    let earlier = rig
        .store
        .write(&name("/a"), &whole("2"), &Conditions::default(), second(3));
    assert_eq!(earlier.map(|to| to.version.modified()), Ok(second(7)));
    assert_eq!(first.to_string().parse(), Ok(first));
    for text in ["", "-", "x-1", "1", "1-", "-1"] {
        assert!(text.parse::<Version>().is_err(), "{text}");
    }
}

#[test]
fn a_resource_comes_goes_and_comes_back() {
    let rig = Rig::roomy();
    assert_eq!(rig.store.current(&name("/a")), None);
    assert_eq!(rig.write("/a", &Write::Delete), Err(Unmet::Nothing));
    let is_new = |written: Result<Written, Unmet>| written.expect("written").is_new;
    assert!(is_new(rig.write("/a", &whole("1"))));
    assert!(!is_new(rig.write("/a", &whole("2"))));
    assert_eq!(rig.data("/a").as_deref(), Some(b"2".as_slice()));
    assert!(rig.write("/a", &Write::Delete).is_ok());
    let deleted = rig.store.current(&name("/a")).expect("the knowledge of it");
    assert_eq!((deleted.represented(), deleted.data), (None, None));
    assert_eq!(rig.write("/a", &Write::Delete), Err(Unmet::Deleted));
    assert_eq!(rig.metrics.resources.value(), 1);
    assert!(is_new(rig.write("/a", &whole("3"))));
    assert_eq!(rig.metrics.resource_bytes.value(), 3);
}

#[test]
fn conditions_are_checked_on_what_is_there() {
    let rig = Rig::roomy();
    let any = || Some(Versions::Any);
    let old = rig.put("/a", "1");
    let now = rig.put("/a", "2");
    let of = |version| Some(Versions::OneOf(vec![version]));
    let cases = [
        ("/a", any(), None, true),
        ("/a", of(now), None, true),
        ("/a", of(old), None, false),
        ("/a", None, any(), false),
        ("/a", None, of(now), false),
        ("/a", None, of(old), true),
        ("/a", of(now), of(now), false),
        ("/b", any(), None, false),
        ("/b", of(now), None, false),
        ("/b", None, any(), true),
    ];
    for (channel, present, absent, holds) in cases {
        let current = rig.store.current(&name(channel));
        let current = current.and_then(|current| current.represented());
        let conditions = Conditions {
            present,
            absent,
            unchanged_since: None,
        };
        assert_eq!(
            conditions.are_met(current),
            holds,
            "{channel} {conditions:?}"
        );
    }
    for (seconds, holds) in [(6, false), (7, true)] {
        let conditions = Conditions {
            unchanged_since: Some(second(seconds)),
            ..Conditions::default()
        };
        assert_eq!(conditions.are_met(Some(now)), holds, "{seconds}");
        assert!(conditions.are_met(None));
    }
    let refused = rig.write_if("/a", &whole("3"), &Conditions::still(old));
    assert_eq!(refused, Err(Unmet::Condition(Some(now))));
    let refused = rig.write_if("/b", &whole("3"), &Conditions::still(old));
    assert_eq!(refused, Err(Unmet::Condition(None)));
    assert_eq!(rig.store.by_channel.len(), 1, "a refusal leaves nothing");
}

#[test]
fn the_least_recently_changed_is_forgotten() {
    let rig = Rig::new(2, 10_000);
    rig.put("/a", "1");
    rig.put("/b", "2");
    rig.put("/a", "3");
    rig.put("/c", "4");
    assert_eq!(rig.data("/b"), None);
    assert!(rig.data("/a").is_some() && rig.data("/c").is_some());
    assert_eq!(rig.metrics.limit_count(Limit::MaxResources), 1);
    rig.put("/d", "5");
    assert_eq!(rig.data("/a"), None);
    assert_eq!(rig.metrics.resources.value(), 2);
    assert_eq!(rig.store.by_channel.len(), 2);
    assert_eq!(rig.store.ages().len(), 2);
}

#[test]
fn bytes_are_bounded_too() {
    let rig = Rig::new(100, 20);
    rig.put("/a", "12345678");
    rig.put("/b", "12345678");
    assert_eq!(rig.metrics.resource_bytes.value(), 20);
    rig.put("/b", "123456789");
    assert_eq!(rig.data("/a"), None);
    assert_eq!(rig.metrics.limit_count(Limit::MaxResourceBytes), 1);
    rig.put("/c", "[1,2,3,4,5,6,7,8,9,10]");
    assert_eq!(rig.metrics.resource_bytes.value(), 0, "not even that fits");
    assert!(rig.store.by_channel.is_empty());
}

#[test]
fn a_wait_goes_on_until_the_resource_is_newer() {
    let rig = Rig::roomy();
    let one = (Some(Bytes::from_static(b"1")), None);
    let mut first = rig.watch("/a", &Had::Until(UNIX_EPOCH));
    assert_eq!(woken(&mut first), None);
    let version = rig.put("/a", "1");
    assert_eq!(woken(&mut first), Some(one.clone()));
    assert_eq!(woken(&mut first), None);
    let cases = [
        (Had::Until(UNIX_EPOCH), true),
        (Had::Until(second(6)), true),
        (Had::Until(second(7)), false),
        (Had::Until(second(8)), false),
        (exactly(version), false),
        (Had::Versions(Versions::Any), false),
        (Had::Versions(Versions::OneOf(Vec::new())), true),
        (exactly(Version::default()), true),
    ];
    for (had, is_newer) in cases {
        let mut watch = rig.watch("/a", &had);
        let expected = is_newer.then(|| one.clone());
        assert_eq!(woken(&mut watch), expected, "{had:?}");
        rig.put("/b", "other");
        assert_eq!(woken(&mut watch), None);
    }
    let mut held = rig.watch("/a", &Had::Until(second(7)));
    rig.put("/a", "2");
    assert!(woken(&mut held).is_some(), "in the same second");
    assert!(rig.write("/a", &Write::Delete).is_ok());
    assert_eq!(woken(&mut held), Some((None, None)));
}

#[test]
fn a_range_is_told_to_those_who_have_the_version_before() {
    let rig = Rig::roomy();
    let one = rig.put("/a", "[1]");
    let mut exact = rig.watch("/a", &exactly(one));
    let mut by_date = rig.watch("/a", &Had::Until(second(7)));
    let range = Write::Range(Bytes::from_static(b"[1,2]"), 2..5);
    assert!(rig.write("/a", &range).is_ok());
    let data = Some(Bytes::from_static(b"[1,2]"));
    assert_eq!(woken(&mut exact), Some((data.clone(), Some(2..5))));
    assert_eq!(woken(&mut by_date), Some((data.clone(), None)));
    // Who comes late has the same version.
    let mut late = rig.watch("/a", &exactly(one));
    assert_eq!(woken(&mut late), Some((data, Some(2..5))));
    // The next one is known to have what it was told.
    let range = Write::Range(Bytes::from_static(b"[1,2,3]"), 4..7);
    assert!(rig.write("/a", &range).is_ok());
    assert_eq!(woken(&mut by_date).and_then(|(_, range)| range), Some(4..7));
    let mut older = rig.watch("/a", &exactly(one));
    assert_eq!(woken(&mut older).and_then(|(_, range)| range), None);
}

#[test]
fn a_change_wakes_once_and_who_left_is_not_woken() {
    let rig = Rig::roomy();
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let mut context = Context::from_waker(&waker);
    let mut watches: Vec<_> = (0..3)
        .map(|_| rig.watch("/a", &Had::Until(UNIX_EPOCH)))
        .collect();
    for watch in &mut watches {
        assert!(watch.poll_changed(&mut context).is_pending());
        assert!(watch.poll_changed(&mut context).is_pending());
    }
    watches.pop();
    assert_eq!(rig.metrics.watched_resources.value(), 2);
    rig.put("/a", "1");
    rig.put("/a", "2");
    assert_eq!(alarm.0.load(SeqCst), 2);
    drop(watches);
    assert_eq!(rig.metrics.watched_resources.value(), 0);
}

#[test]
fn what_is_forgotten_can_be_waited_for_and_leaves_with_the_last_wait() {
    let rig = Rig::new(1, 10_000);
    let mut watch = rig.watch("/a", &Had::Until(UNIX_EPOCH));
    rig.put("/a", "1");
    assert!(woken(&mut watch).is_some());
    rig.put("/b", "1");
    assert_eq!((woken(&mut watch), rig.data("/a")), (None, None));
    rig.put("/a", "2");
    assert!(woken(&mut watch).is_some());
    rig.put("/b", "1");
    assert_eq!(rig.store.by_channel.len(), 2);
    drop(watch);
    assert_eq!(rig.store.by_channel.len(), 1);
}

#[test]
fn a_stop_ends_waits_also_those_to_come() {
    let rig = Rig::roomy();
    let alarm = Arc::new(Alarm::default());
    let waker = Waker::from(Arc::clone(&alarm));
    let mut watch = rig.watch("/a", &Had::Until(UNIX_EPOCH));
    assert!(
        watch
            .poll_changed(&mut Context::from_waker(&waker))
            .is_pending()
    );
    rig.store.stop();
    assert_eq!(alarm.0.load(SeqCst), 1);
    assert_eq!(poll(&mut watch), Poll::Ready(Woken::Stopped));
    let mut late = rig.watch("/a", &Had::Until(UNIX_EPOCH));
    assert_eq!(poll(&mut late), Poll::Ready(Woken::Stopped));
}

#[test]
fn threads_that_write_read_and_wait_leave_no_trace_but_the_last() {
    let rig = Rig::new(4, 10_000);
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let rig = &rig;
            scope.spawn(move || {
                for round in 0..500 {
                    let channel = format!("/c/{}", (round * 7 + thread) % 9);
                    drop(rig.watch(&channel, &Had::Until(UNIX_EPOCH)));
                    rig.put(&channel, "1");
                    let _ = rig.data(&channel);
                }
            });
        }
    });
    let (kept, aged) = (rig.store.by_channel.len(), rig.store.ages().len());
    assert_eq!((kept, aged), (4, 4));
    assert_eq!(rig.metrics.resources.value(), 4);
    assert_eq!(rig.metrics.resource_bytes.value(), 4 * 5);
}
