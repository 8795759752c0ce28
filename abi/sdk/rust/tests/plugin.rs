//! A plugin that uses every part of the surface, run as weft would run it.

use std::time::Duration;
use weft::testing::{self, Decision, Effect, Guest, Input};
use weft::{http, Emit, Message, Needs, Plugin, Type, Verdict, Writer};

struct Everything {
    prefix: String,
    seen: u64,
}

impl Plugin for Everything {
    fn init(config: &str) -> Result<Self, String> {
        let config = weft::json::parse(config).map_err(|e| e.to_string())?;
        let prefix = config.get("prefix").and_then(|v| v.string()).ok_or("prefix is missing")?;
        Ok(Everything { prefix, seen: 0 })
    }

    fn needs(&self) -> Needs {
        Needs::all()
    }

    fn open(&mut self, m: &mut Message) -> Verdict {
        match m.attribute_str("user") {
            Some(user) => {
                m.set_context("identity", user);
                m.subscribe(["in/", user, "/#"], 1);
                Verdict::Continue
            }
            None => Verdict::close("no user"),
        }
    }

    fn resume(&mut self, m: &mut Message) -> Verdict {
        let answer = m.answer();
        match answer.http() {
            Ok(r) => {
                m.set_topic(r.header.get_str("x-topic").unwrap_or("none"));
                m.set_payload(r.body);
                m.set_seq(answer.token * 1000 + r.status as u64);
                Verdict::Continue
            }
            Err(e) => Verdict::drop(e.to_string().as_str()),
        }
    }

    fn message(&mut self, m: &mut Message) -> Verdict {
        self.seen += 1;
        match m.payload() {
            b"topic" => m.set_topic([&self.prefix, "/", m.topic()].map(|s| s as &str)),
            b"context" => m.set_context("count", self.seen.to_string()),
            b"drop" => return Verdict::drop("unwanted"),
            b"reply" => return Verdict::reply(m.topic()),
            b"route" => return Verdict::route(&["queue:work", "node:7"]),
            b"pause" => return Verdict::Pause(9),
            b"ask" => {
                let request = http::Request::new("PUT", m.topic())
                    .header("accept", "text/plain")
                    .body("question")
                    .deadline(Duration::from_millis(1500));
                return match request.send() {
                    Ok(token) => Verdict::Pause(token),
                    Err(e) => Verdict::drop(e.to_string().as_str()),
                };
            }
            b"emit" => {
                for i in 0..10u8 {
                    m.emit(Emit {
                        topic: "out",
                        payload: &[i],
                        attributes: &[("n", &[i])],
                        message_type: Type::Request,
                        priority: 7,
                        qos: 1,
                        seq: i as u64,
                        retain: i == 9,
                    });
                }
                m.unsubscribe("old/#");
            }
            b"fields" => {
                m.set_seq(m.seq() + 1);
                m.set_priority(6);
                m.set_qos(2);
                m.set_message_type(Type::Response);
                m.set_attribute("a", "1");
                m.set_attribute("b", "2");
                m.set_attribute("a", "3");
                m.remove_attribute("keep");
            }
            b"write" => {
                use std::fmt::Write;
                let mut w = Writer::new();
                for i in 0..1000 {
                    write!(w, "{},", i).unwrap();
                    if i == 500 {
                        m.set_attribute("between", "x"); // something else is lent meanwhile
                    }
                }
                m.set_payload(w);
            }
            _ => {}
        }
        Verdict::Continue
    }

    fn tick(&mut self, m: &mut Message) {
        m.emit(Emit { topic: "status", payload: self.seen.to_string().as_bytes(), ..Emit::default() });
    }

    fn snapshot(&mut self) -> Option<Vec<u8>> {
        Some(self.seen.to_le_bytes().to_vec())
    }

    fn restore(&mut self, state: &[u8]) -> Result<(), String> {
        self.seen = u64::from_le_bytes(state.try_into().map_err(|_| "a snapshot has 8 bytes")?);
        Ok(())
    }
}

weft::plugin!(Everything, hooks: [open, tick, snapshot]);
weft::manifest!(r#"{"name": "everything", "version": "1.0.0"}"#);

fn guest() -> Guest<Everything> {
    Guest::new(r#"{"prefix": "p"}"#).unwrap()
}

#[test]
fn a_bad_configuration_is_told() {
    assert_eq!(Guest::<Everything>::new("{}").err().as_deref(), Some("prefix is missing"));
    assert_eq!(Guest::<Everything>::new("{").err().as_deref(), Some("not JSON from byte 1 on"));
}

#[test]
fn untouched() {
    let out = guest().message(&Input::new("a/b", "nothing").attribute("x", "1"));
    assert_eq!(out.decision, Decision::Continue);
    assert_eq!(out.changes, 0);
    assert_eq!((out.topic.as_str(), out.payload.as_slice()), ("a/b", &b"nothing"[..]));
    assert!(out.effects.is_empty());
}

#[test]
fn verdicts() {
    let mut g = guest();
    let mut decide = |payload: &str| g.message(&Input::new("t", payload)).decision;
    assert_eq!(decide("drop"), Decision::Drop("unwanted".into()));
    assert_eq!(decide("reply"), Decision::Reply(b"t".to_vec()));
    assert_eq!(decide("route"), Decision::Route(vec!["queue:work".into(), "node:7".into()]));
    assert_eq!(decide("pause"), Decision::Pause(9));
    assert_eq!(g.open(&Input::default()).decision, Decision::Close("no user".into()));
}

#[test]
fn open_subscribes() {
    let out = guest().open(&Input::default().attribute("user", "truck-7"));
    assert_eq!(out.context("identity"), Some("truck-7"));
    assert_eq!(out.effects, [Effect::Subscribe { pattern: "in/truck-7/#".into(), qos: 1 }]);
}

#[test]
fn fields() {
    let out = guest().message(&Input::new("t", "fields").attribute("keep", "no").attribute("other", "yes"));
    assert_eq!((out.seq, out.priority, out.qos, out.message_type), (1, 6, 2, Type::Response));
    assert_eq!((out.attribute("a"), out.attribute("b")), (Some("3"), Some("2")));
    assert_eq!((out.attribute("keep"), out.attribute("other")), (None, Some("yes")));
    assert_eq!(out.attributes.len(), 3);
    assert_eq!(out.changes, 0b1111_0010);
    assert_eq!(guest().message(&Input::new("t", "topic")).topic, "p/t");
}

#[test]
fn context_is_carried_to_later_messages_of_the_session() {
    let other = Input { session: 2, ..Input::new("t", "") }.context("who", "b");
    let mine = |payload: &str| Input::new("t", payload).context("who", "a");
    let out = guest().messages(&[mine(""), mine("context"), other, mine(""), mine("context"), mine("")]);
    let counts: Vec<_> = out.iter().map(|o| o.context("count")).collect();
    assert_eq!(counts, [None, Some("2"), None, Some("2"), Some("5"), Some("5")]);
    assert!(out.iter().all(|o| o.context("who").is_some()));
    let changed: Vec<_> = out.iter().map(|o| o.changes != 0).collect();
    assert_eq!(changed, [false, true, false, false, true, false]);
}

#[test]
fn effects_keep_their_order_and_fields() {
    let out = guest().messages(&[Input::new("t", "emit"), Input::new("t", ""), Input::new("t", "emit")]);
    assert_eq!(out[1].effects.len(), 0);
    for o in [&out[0], &out[2]] {
        assert_eq!(o.effects.len(), 11);
        assert_eq!(o.effects[10], Effect::Unsubscribe { pattern: "old/#".into() });
        assert_eq!(
            o.effects[9],
            Effect::Emit {
                topic: "out".into(),
                payload: vec![9],
                attributes: vec![("n".into(), vec![9])],
                message_type: Type::Request,
                priority: 7,
                qos: 1,
                seq: 9,
                retain: true,
            }
        );
    }
}

#[test]
fn a_writer_grows() {
    let out = guest().message(&Input::new("t", "write"));
    let want: String = (0..1000).map(|i| format!("{},", i)).collect();
    assert_eq!(String::from_utf8(out.payload).unwrap(), want);
    assert_eq!(out.attributes, [("between".to_string(), b"x".to_vec())]);
}

#[test]
fn state_survives_a_swap() {
    let mut g = guest();
    g.message(&Input::new("t", ""));
    let mut g = g.swap(r#"{"prefix": "q"}"#).unwrap();
    let out = g.tick(5);
    assert!(matches!(&out.effects[0], Effect::Emit { payload, .. } if payload == b"1"));
}

#[test]
fn host_functions() {
    use std::time::Duration;
    let _ = guest();
    weft::log::info("hello");
    assert_eq!(testing::logs(), ["hello"]);
    let c = weft::metrics::Counter::new("seen_total").unwrap();
    c.add(2);
    c.add(3);
    assert_eq!(testing::metric("seen_total"), Some(5.0));
    assert!(weft::metrics::Gauge::new("Seen").is_err());
    testing::set_time(7);
    assert_eq!((weft::clock::wall(), weft::clock::monotonic()), (7, 7));
    assert_ne!(weft::random::number(), weft::random::number());

    use weft::kv;
    assert_eq!(kv::get("k"), Ok(None));
    kv::set("k", "v", Some(Duration::from_millis(1))).unwrap();
    assert_eq!(kv::get("k"), Ok(Some(b"v".to_vec())));
    testing::set_time(2_000_000);
    assert_eq!(kv::get("k"), Ok(None));
    kv::set("long", [7; 1000], None).unwrap();
    assert_eq!(kv::get("long").unwrap().unwrap().len(), 1000);
    assert_eq!(kv::get_into("long", &mut [0; 10]), Ok(Some(1000)));
    assert_eq!(kv::compare_and_set("n", 0, "1", None), Ok(1));
    assert_eq!(kv::compare_and_set("n", 0, "2", None), Err(weft::Error::Conflict));
    assert_eq!(kv::revision("n"), Ok(Some(1)));
    assert_eq!((kv::delete("n"), kv::delete("n")), (Ok(true), Ok(false)));
    assert_eq!((kv::add("sum", -5, None), kv::add("sum", 3, None)), (Ok(-5), Ok(-2)));
    assert_eq!(kv::add("long", 1, None), Err(weft::Error::Invalid));
}

#[test]
fn a_request_is_made_and_its_answer_read() {
    let mut guest = Guest::<Everything>::new(r#"{"prefix": "p"}"#).unwrap();
    let ask = Input::new("https://api.example.org/x", "ask");
    assert_eq!(guest.message(&ask).decision, Decision::Pause(1));
    assert_eq!(guest.message(&ask).decision, Decision::Pause(2));
    let sent = testing::requests();
    assert_eq!(sent.len(), 2);
    assert_eq!(
        sent[1],
        testing::Request {
            method: "PUT".into(),
            url: "https://api.example.org/x".into(),
            header: vec![("accept".into(), b"text/plain".to_vec())],
            body: b"question".to_vec(),
            deadline: 1500,
        }
    );
    let out = guest.resume(&ask.clone().answered(2, 201, &[("x-topic", "made")], "body"));
    assert_eq!((out.topic.as_str(), out.payload.as_slice(), out.seq), ("made", &b"body"[..], 2201));
    let late = guest.resume(&ask.clone().failed(1, -7));
    assert_eq!(late.decision, Decision::Drop("the deadline has passed".into()));
    assert_eq!(guest.resume(&ask.failed(1, -1)).decision, Decision::Drop("the host could not do it".into()));
    let bad = guest.message(&Input::new("ftp://x", "ask"));
    assert_eq!(bad.decision, Decision::Drop("invalid argument".into()));
}

#[test]
fn a_cut_answer_is_an_error() {
    let mut guest = Guest::<Everything>::new(r#"{"prefix": "p"}"#).unwrap();
    for answer in [&b""[..], b"1234567", b"\x00\x00\x00\x00\x01\x00\x00\x00"] {
        let out = guest.resume(&Input { token: 1, answer: answer.to_vec(), ..Input::default() });
        assert_eq!(out.decision, Decision::Drop("the host could not do it".into()));
    }
}
