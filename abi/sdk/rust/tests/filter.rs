//! A plugin that has sources blocked, run as weft would run it.

use std::time::Duration;
use weft::testing::{self, Decision, Guest, Input, Rule};
use weft::{filter, Error, Message, Plugin, Verdict};

struct Guard;

impl Plugin for Guard {
    fn init(_: &str) -> Result<Self, String> {
        Ok(Guard)
    }

    fn message(&mut self, m: &mut Message) -> Verdict {
        let minute = Some(Duration::from_secs(60));
        match m.topic() {
            "bad" => match filter::block_source(m, minute) {
                Ok(true) => Verdict::close("blocked"),
                other => Verdict::drop(format!("{:?}", other)),
            },
            "block" => Verdict::drop(format!("{:?}", filter::block(text(m), minute))),
            "allow" => Verdict::drop(format!("{:?}", filter::allow(text(m), None))),
            "unblock" => Verdict::drop(format!("{:?}", filter::unblock(text(m)))),
            _ => Verdict::drop(format!("{:?}", filter::source(m))),
        }
    }
}

fn text<'a>(m: &Message<'a>) -> &'a str {
    std::str::from_utf8(m.payload()).unwrap()
}

fn rule(source: &str, allow: bool, ttl: i64) -> Rule {
    Rule { source: source.into(), allow, ttl }
}

#[test]
fn the_source_of_a_message_is_blocked() {
    let mut guest = Guest::<Guard>::new("{}").unwrap();
    testing::set_source(7, "2001:db8::7");
    let out = guest.message(&Input { session: 7, ..Input::new("bad", "") });
    assert_eq!(out.decision, Decision::Close("blocked".into()));
    assert_eq!(testing::rules(), [rule("2001:db8::7", false, 60_000)]);
    let out = guest.message(&Input { session: 0, ..Input::new("bad", "") });
    assert_eq!(out.decision, Decision::Drop("Ok(false)".into()));
    let out = guest.message(&Input { session: 9, ..Input::new("who", "") });
    assert_eq!(out.decision, Decision::Drop("Ok(Some(\"192.0.2.9\"))".into()));
}

#[test]
fn rules_come_and_go() {
    let mut guest = Guest::<Guard>::new("{}").unwrap();
    let mut say = |verb: &str, source: &str| guest.message(&Input::new(verb, source)).decision;
    let said = |what: &str| Decision::Drop(what.into());
    assert_eq!(say("block", "198.51.100.4:1883"), said("Ok(())"));
    assert_eq!(say("allow", "198.51.100.5"), said("Ok(())"));
    assert_eq!(testing::rules(), [rule("198.51.100.4", false, 60_000), rule("198.51.100.5", true, 0)]);
    assert_eq!(say("unblock", "198.51.100.4"), said("Ok(true)"));
    assert_eq!(say("unblock", "198.51.100.4"), said("Ok(false)"));
    assert_eq!(say("block", "everybody"), said(&format!("Err({:?})", Error::Invalid)));
    assert_eq!(testing::rules().len(), 1);
}
