//! Sends messages where rules say: to another topic, a copy to a second one, to
//! destinations, or nowhere.

mod memo;
mod rules;
#[path = "../settings.rs"]
mod settings;
mod template;

use memo::{Likeness, Memo, Names};
use rules::{Action, Rule};
use template::Template;
use weft::{Emit, Message, Needs, Plugin, Verdict, Writer};

struct TopicRouter {
    rules: Vec<Rule>,
    names: Names,
    memo: Memo,
}

impl Plugin for TopicRouter {
    fn init(config: &str) -> Result<Self, String> {
        let rules = rules::parse(config)?;
        let names = rules::names(&rules);
        Ok(TopicRouter { rules, names, memo: Memo::default() })
    }

    fn needs(&self) -> Needs {
        rules::needs(&self.rules)
    }

    #[inline]
    fn message(&mut self, m: &mut Message) -> Verdict {
        match self.memo.find(m, self.names) {
            Some(Some(topic)) => m.set_topic(topic),
            Some(None) => {}
            None => return self.decide(m),
        }
        Verdict::Continue
    }
}

impl TopicRouter {
    /// Asks the rules about a message.
    fn decide(&mut self, m: &mut Message) -> Verdict {
        let like = Likeness::of(m, self.names);
        let mut new = None;
        let mut copied = false;
        for rule in &self.rules {
            if !rule.applies(m) {
                continue;
            }
            let done = match &rule.action {
                Action::Topic(t) => t.fill(m).map(|topic| {
                    m.set_topic(topic);
                    new = Some(topic);
                }),
                Action::Emit(t) => {
                    copied = true;
                    emit(m, t)
                }
                Action::Route(t) => match t.fill(m) {
                    Ok(lines) => return Verdict::Route(lines),
                    Err(reason) => Err(reason),
                },
                Action::Drop(reason) => return Verdict::drop(reason),
            };
            if let Err(reason) = done {
                return Verdict::drop(reason);
            }
            if rule.last {
                break;
            }
        }
        if !copied {
            self.memo.keep(like, new);
        }
        Verdict::Continue
    }
}

/// Emits a copy of the message to another topic.
#[inline(never)]
fn emit<'t>(m: &mut Message, to: &'t Template) -> Result<(), &'t str> {
    const FEW: usize = 32;
    let mut topic = Writer::new();
    to.write(m, &mut topic)?;
    let topic = core::str::from_utf8(&topic).map_err(|_| "topic: not UTF-8")?;
    let mut few = [("", &[][..]); FEW];
    let many: Vec<(&str, &[u8])>;
    let mut attributes = m.attributes();
    let mut n = 0;
    for (place, attribute) in few.iter_mut().zip(&mut attributes) {
        *place = attribute;
        n += 1;
    }
    let list = match n {
        FEW => {
            many = m.attributes().collect();
            &many[..]
        }
        n => &few[..n],
    };
    let payload = m.payload();
    m.emit(Emit { topic, payload, attributes: list, priority: m.priority(), qos: m.qos(), ..Emit::default() });
    Ok(())
}

weft::plugin!(TopicRouter);
