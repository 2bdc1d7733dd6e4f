//! The contract, sentence by sentence.

use std::time::Duration;

use bytes::Bytes;
use bytesize::ByteSize;

use super::*;
use crate::history::Saved;

type Case = fn(&dyn Factory);

pub(super) const ALL: [(&str, Case); 18] = [
    ("a new store is empty", a_new_store_is_empty),
    (
        "numbers grow and channels know the one before",
        numbers_grow,
    ),
    (
        "messages come back as they were",
        messages_come_back_as_they_were,
    ),
    ("pages are bounded", pages_are_bounded),
    (
        "a pattern is read in one order",
        a_pattern_is_read_in_one_order,
    ),
    (
        "what two wants take is read once",
        what_two_wants_take_is_read_once,
    ),
    ("the end is told", the_end_is_told),
    ("the last of each channel", the_last_of_each_channel),
    ("a survey tells what there is", a_survey_tells_what_there_is),
    (
        "a survey tells where so many begin",
        a_survey_tells_where_so_many_begin,
    ),
    ("what is removed is lost", what_is_removed_is_lost),
    ("a number of messages is kept", a_number_of_messages_is_kept),
    ("bytes are kept", bytes_are_kept),
    ("what is too old goes", what_is_too_old_goes),
    ("channels are bounded", channels_are_bounded),
    ("all together is bounded", all_together_is_bounded),
    (
        "what is durable is there again",
        what_is_durable_is_there_again,
    ),
    ("sessions are taken once", sessions_are_taken_once),
];

fn a_new_store_is_empty(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    assert_eq!(store.figures().messages, 0);
    assert_eq!(store.health(), Ok(()));
    assert!(!store.epoch().is_empty());
    let survey = survey(&*store, want("/**", 0), 1);
    assert_eq!((survey.first, survey.last), (None, None));
    assert_eq!(survey.too_many, None);
    // Who has a number of a store that is gone has missed what that had.
    assert!(survey.head > 1_500_000_000_000_000, "{survey:?}");
    assert!(survey.head < 1 << 53, "{survey:?}");
    assert_eq!(survey.lost, survey.head);
    let page = page(&*store, &query(vec![want("/**", survey.head)]));
    assert!(page.messages.is_empty() && page.is_end, "{page:?}");
    assert_eq!((page.lost, page.position), (0, survey.head));
    let page = super::page(&*store, &query(vec![]));
    assert!(page.messages.is_empty() && page.is_end, "{page:?}");
    let other = factory.open(Bounds::ample());
    assert_ne!(store.epoch(), other.epoch());
}

fn numbers_grow(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    let head = survey(&*store, want("/**", 0), 1).head;
    assert_eq!(append(&*store, &[]), []);
    let first = append(&*store, &["/a", "/b", "/a"]);
    let second = append(&*store, &["/b", "/c", "/a"]);
    let ids: Vec<_> = first.iter().chain(&second).map(|place| place.id).collect();
    assert!(head < ids[0] && ids.is_sorted_by(|a, b| a < b), "{ids:?}");
    let before = first.iter().chain(&second).map(|place| place.before);
    let expected = [0, 0, ids[0], ids[1], 0, ids[2]];
    assert_eq!(before.collect::<Vec<_>>(), expected);
    let kept = read(&*store, &query(vec![want("/**", 0)]));
    let before = kept.iter().map(|kept| kept.place.before);
    assert_eq!(before.collect::<Vec<_>>(), expected);
    // It is known of a message that is gone.
    wait(store.remove(pattern("/a"), u64::MAX >> 1)).expect("removed");
    assert_eq!(append(&*store, &["/a"])[0].before, ids[5]);
    let kept = read(&*store, &query(vec![want("/a", 0)]));
    assert_eq!(kept[0].place.before, ids[5]);
}

fn messages_come_back_as_they_were(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    let bytes = |text: &'static str| Some(Bytes::from_static(text.as_bytes()));
    let mut entries = vec![
        entry("/a", 1, "{\"x\": 1,\t\"é\":[1e400]}"),
        entry("/a/b c", 2, "null"),
        entry("/~(d)", 3, "\"\\u0000\""),
        entry("/a", 4, "1"),
        Entry::deletion(channel("/a"), time(5)),
    ];
    entries[1].body.ext = bytes("{ }");
    entries[2].body.custom = bytes("\"a\":1, \"b\":2");
    entries[3].body.ext = bytes("{\"e\":true}");
    entries[3].body.custom = bytes("\"c\":null");
    entries[3].body.data = "[0]".repeat(100_000).into();
    let places = wait(store.append(entries.clone())).expect("appended");
    let kept = read(&*store, &query(vec![want("/**", 0)]));
    let expected: Vec<_> = places
        .into_iter()
        .zip(entries)
        .map(|(place, entry)| Kept { place, entry })
        .collect();
    assert!(kept == expected, "{:?}", kept.first());
}

fn pages_are_bounded(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    append(&*store, &["/a"; 10]);
    let ask = |max_messages, max_bytes| {
        let query = Query {
            max_messages,
            max_bytes,
            ..query(vec![want("/a", 0)])
        };
        let pages = pages(&*store, &query).into_iter();
        pages.map(|page| page.messages.len()).collect::<Vec<_>>()
    };
    // Whether a page that is full is the last may be found out by another.
    let is = |counts: Vec<usize>, expected: &[usize]| {
        assert!(
            counts == expected || counts == [expected, &[0]].concat(),
            "{counts:?}"
        );
    };
    is(ask(10, 40), &[10]);
    is(ask(4, 1000), &[4, 4, 2]);
    is(ask(5, 1000), &[5, 5]);
    // Each has four bytes.
    is(ask(1000, 15), &[3, 3, 3, 1]);
    is(ask(1000, 1), &[1; 10]);
}

fn a_pattern_is_read_in_one_order(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    let channels = [
        "/a", "/a/b", "/a/b/c", "/ab", "/a/c", "/b", "/a/b", "/ba*", "/a",
    ];
    let places = append(&*store, &channels);
    let cases: [(&str, &[usize]); 9] = [
        ("/**", &[0, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("/*", &[0, 3, 5, 7, 8]),
        ("/a/*", &[1, 4, 6]),
        ("/a/**", &[1, 2, 4, 6]),
        ("/a/b/**", &[2]),
        ("/a", &[0, 8]),
        ("/ba*", &[7]),
        ("/c", &[]),
        ("/c/**", &[]),
    ];
    for (text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|index| places[*index].id).collect();
        assert_eq!(ids(&*store, text), expected, "{text}");
        let small = Query {
            max_messages: 2,
            ..query(vec![want(text, places[3].id)])
        };
        let read = read(&*store, &small).into_iter().map(|kept| kept.place.id);
        let expected = expected.into_iter().filter(|id| *id > places[3].id);
        assert_eq!(
            read.collect::<Vec<_>>(),
            expected.collect::<Vec<_>>(),
            "{text}"
        );
    }
}

fn what_two_wants_take_is_read_once(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    let places = append(
        &*store,
        &["/a/x", "/a/y", "/b", "/a/x", "/a/y", "/c", "/a/x"],
    );
    let at = |index: usize| places[index].id;
    let wants = vec![
        want("/a/**", at(3)),
        want("/a/x", at(0)),
        want("/b", 0),
        want("/a/*", at(4)),
    ];
    for max_messages in [1, 2, 100] {
        let query = Query {
            max_messages,
            ..query(wants.clone())
        };
        let ids = read(&*store, &query).into_iter().map(|kept| kept.place.id);
        assert_eq!(ids.collect::<Vec<_>>(), [at(2), at(3), at(4), at(6)]);
    }
}

fn the_end_is_told(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    let places = append(&*store, &["/a", "/a", "/b", "/b"]);
    let mut query = query(vec![want("/a", 0)]);
    let page = pages(&*store, &query).pop().expect("one");
    assert!(page.is_end);
    assert_eq!(page.position, places[3].id);
    // From there on what comes is read, and nothing else.
    query.position = page.position;
    let place = append(&*store, &["/b", "/a"])[1];
    let page = super::page(&*store, &query);
    let ids = page.messages.iter().map(|kept| kept.place.id);
    assert_eq!(ids.collect::<Vec<_>>(), [place.id]);
    // A position that nobody was given yet.
    query.position = place.id + 1000;
    let page = super::page(&*store, &query);
    assert!(page.messages.is_empty() && page.is_end, "{page:?}");
    assert_eq!((page.position, page.lost), (query.position, 0));
}

fn the_last_of_each_channel(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    let places = append(
        &*store,
        &["/a/x", "/b", "/a/y", "/a/x", "/a/y", "/a/z", "/a/y"],
    );
    let at = |index: usize| places[index].id;
    let ask = |text: &str, limit, after, max_messages| {
        let query = Query {
            selection: Selection::LastOfEach(limit),
            max_messages,
            ..query(vec![want(text, after)])
        };
        let pages = pages(&*store, &query);
        assert!(pages.iter().all(|page| page.lost == 0));
        let kept = pages.into_iter().flat_map(|page| page.messages);
        kept.map(|kept| kept.place.id).collect::<Vec<_>>()
    };
    for max in [1, 2, 10] {
        assert_eq!(ask("/a/*", at(6), 0, max), [at(3), at(5), at(6)]);
        assert_eq!(ask("/**", at(6), 0, max), [at(1), at(3), at(5), at(6)]);
        // A channel whose newest came later has none.
        assert_eq!(ask("/a/**", at(5), 0, max), [at(3), at(5)]);
        assert_eq!(ask("/a/**", at(6), at(3), max), [at(5), at(6)]);
        assert_eq!(ask("/a/y", at(6), 0, max), [at(6)]);
        assert_eq!(ask("/a/y", at(5), 0, max), [0; 0]);
        assert_eq!(ask("/a/y", u64::MAX >> 1, at(6), max), [0; 0]);
    }
}

fn a_survey_tells_what_there_is(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    let start = survey(&*store, want("/**", 0), 1).head;
    let places = append(&*store, &["/a/x", "/a/y", "/b", "/a/x"]);
    let at = |index: usize| places[index].id;
    let cases = [
        ("/a/x", Some(at(0)), Some(at(3))),
        ("/a/y", Some(at(1)), Some(at(1))),
        ("/a/*", Some(at(0)), Some(at(3))),
        ("/**", Some(at(0)), Some(at(3))),
        ("/*", Some(at(2)), Some(at(2))),
        ("/c", None, None),
    ];
    for (text, first, last) in cases {
        // Whatever it is wanted after.
        for after in [0, at(1), at(3) + 7] {
            let expected = Survey {
                first,
                last,
                lost: start,
                head: at(3),
                too_many: None,
            };
            assert_eq!(survey(&*store, want(text, after), 4), expected, "{text}");
        }
    }
}

fn a_survey_tells_where_so_many_begin(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    let channels = ["/a/x", "/a/y", "/b"].repeat(20);
    let places = append(&*store, &channels);
    for text in ["/a/x", "/a/*", "/**", "/b"] {
        let ids = ids(&*store, text);
        for after in [0, places[7].id, places[30].id] {
            let count = ids.iter().filter(|id| **id > after).count();
            for max in [1, 2, 9, count - 1, count, count + 1] {
                let survey = survey(&*store, want(text, after), max);
                assert_eq!(survey.too_many.is_some(), count > max, "{text} {max}");
                if let Some(too_many) = survey.too_many {
                    assert!(too_many >= after);
                    let left = ids.iter().filter(|id| **id > too_many).count();
                    assert_eq!(left, max, "{text} {survey:?}");
                }
            }
        }
    }
}

fn what_is_removed_is_lost(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    let start = survey(&*store, want("/**", 0), 1).head;
    let places = append(&*store, &["/a/x", "/a/y", "/a/x", "/b", "/a/x", "/a/y"]);
    let at = |index: usize| places[index].id;
    let remove = |text, up_to| wait(store.remove(pattern(text), up_to)).expect("removed");
    assert_eq!(remove("/c", at(5)), 0);
    assert_eq!(remove("/a/x", start), 0);
    assert_eq!(remove("/a/x", at(3)), 2);
    assert_eq!(remove("/a/x", at(3)), 0);
    assert_eq!(ids(&*store, "/**"), [at(1), at(3), at(4), at(5)]);
    for (text, lost) in [
        ("/a/x", at(2)),
        ("/a/*", at(2)),
        ("/a/y", start),
        ("/b", start),
    ] {
        assert_eq!(survey(&*store, want(text, 0), 10).lost, lost, "{text}");
        let page = page(&*store, &query(vec![want(text, start)]));
        let expected = if lost > start { lost } else { 0 };
        assert_eq!(page.lost, expected, "{text}");
        let page = super::page(&*store, &query(vec![want(text, at(2))]));
        assert_eq!(page.lost, 0, "{text}");
        let later = Query {
            position: at(2),
            ..query(vec![want(text, start)])
        };
        assert_eq!(super::page(&*store, &later).lost, 0, "{text}");
    }
    // What is gone before it was read is told, also in the middle.
    let some = Query {
        max_messages: 1,
        ..query(vec![want("/a/y", at(0))])
    };
    let page = page(&*store, &some);
    assert_eq!((page.messages.len(), page.lost), (1, 0));
    assert!((at(1)..at(5)).contains(&page.position), "{page:?}");
    assert_eq!(remove("/**", at(5)), 4);
    let rest = Query {
        position: page.position,
        ..some
    };
    assert_eq!(super::page(&*store, &rest).lost, at(5));
    let survey = survey(&*store, want("/a/**", 0), 10);
    assert_eq!((survey.first, survey.last), (None, None));
    assert_eq!((survey.lost, survey.head), (at(5), at(5)));
    assert_eq!(store.figures().messages, 0);
}

fn a_number_of_messages_is_kept(factory: &dyn Factory) {
    let of = |channel: &str| messages(if channel == "/a" { 3 } else { 1 });
    let store = factory.open(Bounds::of(of));
    let places = append(&*store, &["/a", "/a", "/b", "/a", "/b", "/a", "/a"]);
    trim(&*store, 0);
    let at = |index: usize| places[index].id;
    assert_eq!(ids(&*store, "/**"), [3, 4, 5, 6].map(at));
    assert_eq!(store.figures().messages, 4);
    let lost = |text| survey(&*store, want(text, 0), 10).lost;
    assert_eq!((lost("/a"), lost("/b"), lost("/**")), (at(1), at(2), at(2)));
}

fn bytes_are_kept(factory: &dyn Factory) {
    let bytes = |bytes| Retention {
        bytes: Some(ByteSize::b(bytes)),
        ..Retention::default()
    };
    let store = factory.open(Bounds::of(move |_| bytes(10)));
    // Four bytes each.
    let places = append(&*store, &["/a", "/b", "/a", "/a"]);
    let large = entry("/b", 0, "12345678901");
    let last = wait(store.append(vec![large])).expect("appended")[0];
    trim(&*store, 0);
    assert_eq!(ids(&*store, "/**"), [places[2].id, places[3].id]);
    assert_eq!(survey(&*store, want("/b", 0), 10).lost, last.id);
    let mut whole = entry("/b", 0, "123");
    whole.body.ext = Some("{}".into());
    whole.body.custom = Some("\"a\":1".into());
    let last = wait(store.append(vec![whole])).expect("appended")[0];
    trim(&*store, 0);
    assert_eq!(ids(&*store, "/b"), [last.id]);
    append(&*store, &["/b"]);
    trim(&*store, 0);
    assert_eq!(survey(&*store, want("/b", 0), 10).lost, last.id);
}

fn what_is_too_old_goes(factory: &dyn Factory) {
    let age = |seconds: u64| Retention {
        age: Some(Duration::from_millis(seconds * 1000 + 500)),
        ..Retention::default()
    };
    let of = move |channel: &str| age(if channel == "/a" { 10 } else { 60 });
    let store = factory.open(Bounds::of(of));
    let entries = [("/a", 0), ("/b", 0), ("/a", 5), ("/b", 5), ("/a", 8)];
    let entries = entries.map(|(channel, seconds)| entry(channel, seconds, "1"));
    let places = wait(store.append(entries.into())).expect("appended");
    for (now, left) in [
        (10, [0, 1, 2, 3, 4].as_slice()),
        (11, &[1, 2, 3, 4]),
        (17, &[1, 3, 4]),
        // The clock was set back.
        (1, &[1, 3, 4]),
        (64, &[3]),
        (66, &[]),
    ] {
        trim(&*store, now);
        let left: Vec<_> = left.iter().map(|index| places[*index].id).collect();
        assert_eq!(ids(&*store, "/**"), left, "{now}");
    }
    assert_eq!(survey(&*store, want("/a", 0), 10).lost, places[4].id);
}

fn channels_are_bounded(factory: &dyn Factory) {
    let bounds = Bounds {
        max_channels: 3,
        ..Bounds::ample()
    };
    let store = factory.open(bounds);
    let places = append(&*store, &["/a", "/b", "/c", "/a", "/b"]);
    let last = places[4].id;
    wait(store.remove(pattern("/b"), last)).expect("removed");
    // Without messages it is the first to go, though it was used last.
    let place = append(&*store, &["/d"])[0];
    trim(&*store, 0);
    assert_eq!(store.figures().channels, 3);
    assert_eq!(
        ids(&*store, "/**"),
        [places[0].id, places[2].id, places[3].id, place.id]
    );
    let lost = |text| survey(&*store, want(text, 0), 10).lost;
    assert!(lost("/b") >= last);
    // All have messages: the least recently used is forgotten with what it has.
    let place = append(&*store, &["/b"])[0];
    assert_eq!(place.before, 0);
    trim(&*store, 0);
    assert_eq!(store.figures().channels, 3);
    assert!(ids(&*store, "/c").is_empty());
    assert!(lost("/c") >= places[2].id);
    assert_eq!(ids(&*store, "/b"), [place.id]);
    for number in 0..50 {
        append(&*store, &[&format!("/n/{number}")]);
    }
    trim(&*store, 0);
    assert_eq!(store.figures().channels, 3);
    assert_eq!(ids(&*store, "/n/*").len(), 3);
}

fn all_together_is_bounded(factory: &dyn Factory) {
    let max_bytes = ByteSize::mib(4);
    let bounds = Bounds {
        max_bytes,
        ..Bounds::of(|_| messages(1_000_000))
    };
    let store = factory.open(bounds);
    let mut all = vec![survey(&*store, want("/**", 0), 1).head];
    let data = "x".repeat(8000);
    for number in 0..100 {
        let entries = (0..20).map(|n| entry(&format!("/c/{}", n % 5), number, &data));
        let places = wait(store.append(entries.collect())).expect("appended");
        all.extend(places.iter().map(|place| place.id));
        trim(&*store, number);
        let bytes = store.figures().bytes;
        assert!(bytes <= max_bytes.as_u64() * 5 / 4, "{bytes}");
    }
    let ids = ids(&*store, "/**");
    // The oldest of all went.
    assert!(all.ends_with(&ids));
    assert!(ids.len() > 100 && ids.len() < 525, "{}", ids.len());
    let lost = all[all.len() - ids.len() - 1];
    let survey = survey(&*store, want("/**", 0), 1);
    assert_eq!((survey.first, survey.head), (Some(ids[0]), all[2000]));
    assert!((lost..ids[0]).contains(&survey.lost), "{survey:?}");
}

fn what_is_durable_is_there_again(factory: &dyn Factory) {
    let store = factory.open(Bounds::ample());
    if !store.is_durable() {
        return;
    }
    let places = append(&*store, &["/a", "/b", "/a", "/c"]);
    wait(store.remove(pattern("/a"), places[0].id)).expect("removed");
    let all = query(vec![want("/**", 0)]);
    let (epoch, kept) = (store.epoch(), read(&*store, &all));
    assert_eq!(kept.len(), 3);
    let surveys =
        |store: &dyn Store| ["/a", "/b", "/**"].map(|text| survey(store, want(text, 0), 1));
    let before = surveys(&*store);
    wait(store.close());
    drop(store);
    let store = factory.reopen(Bounds::ample());
    assert_eq!(store.epoch(), epoch);
    assert_eq!(read(&*store, &all), kept);
    assert_eq!(surveys(&*store), before);
    let place = append(&*store, &["/a"])[0];
    assert!(place.id > places[3].id);
    assert_eq!(place.before, places[2].id);
    // What is kept is what the policy says now.
    wait(store.close());
    drop(store);
    let store = factory.reopen(Bounds::of(|_| messages(1)));
    trim(&*store, 0);
    assert_eq!(ids(&*store, "/**"), [places[1].id, places[3].id, place.id]);
}

fn sessions_are_taken_once(factory: &dyn Factory) {
    if !factory.has_sessions() {
        return;
    }
    let mut store = factory.open(Bounds::ample());
    let saved = |key: &str, state: &'static str| Saved {
        key: key.into(),
        state: Bytes::from_static(state.as_bytes()),
    };
    let save = |store: &dyn Store, batch| wait(store.save_sessions(batch)).expect("saved");
    save(&*store, vec![saved("a", "1"), saved("b", "2\0")]);
    save(&*store, vec![saved("c", ""), saved("a", "3")]);
    if store.is_durable() {
        wait(store.close());
        drop(store);
        store = factory.reopen(Bounds::ample());
    }
    let take = |max| wait(store.take_sessions(max, usize::MAX)).expect("taken");
    let first = take(2);
    assert_eq!(first.len(), 2);
    let rest = take(10);
    let mut all = [first, rest].concat();
    all.sort_by(|a, b| a.key.cmp(&b.key));
    assert_eq!(all, [saved("a", "3"), saved("b", "2\0"), saved("c", "")]);
    assert_eq!(take(10), []);
}
