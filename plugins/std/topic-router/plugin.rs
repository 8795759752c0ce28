//! Where messages go, by rules over their attributes and what is known of the
//! session. Rules are asked in order; everything is compiled when it is configured.

mod config;
mod template;
mod value;

use config::{Action, Rule};
use template::Template;
use value::Name;
use weft::{Content, Emit, Message, Needs, Plugin, Verdict, Writer};

/// Attributes that a copy takes along without a list on the heap.
const FEW: usize = 32;

struct Router {
    rules: Vec<Rule>,
    needs: Needs,
}

impl Plugin for Router {
    fn init(config: &str) -> Result<Self, String> {
        let rules = config::parse(config)?;
        let needs = needs(&rules);
        Ok(Router { rules, needs })
    }

    fn needs(&self) -> Needs {
        self.needs
    }

    fn message(&mut self, m: &mut Message) -> Verdict {
        for rule in &self.rules {
            if !rule.matches(m) {
                continue;
            }
            match rule.apply(m) {
                Ok(None) => {}
                Ok(Some(verdict)) => return verdict,
                Err(bad) => return Verdict::drop(bad.reason()),
            }
        }
        Verdict::Continue
    }
}

impl Rule {
    fn matches(&self, m: &Message) -> bool {
        self.when.iter().all(|(name, want)| match (name.of(m), want) {
            (Some(v), Some(want)) => v == want.as_bytes(),
            (Some(_), None) => true,
            (None, _) => false,
        })
    }

    /// Does what the rule says. A verdict ends the rules; an error names the
    /// value that may not be in a topic.
    fn apply(&self, m: &mut Message) -> Result<Option<Verdict>, &Name> {
        if let Action::Emit(topic) = &self.action {
            self.copy(m, topic)?;
            return Ok(None);
        }
        if let Some(priority) = self.priority {
            m.set_priority(priority);
        }
        if let Some(to) = self.message_type {
            m.set_message_type(to);
        }
        match &self.action {
            Action::Topic(topic) => {
                let topic = topic.fill(m)?;
                m.set_topic(topic);
            }
            Action::Route(destinations) => {
                let mut lines = Writer::new();
                for (i, d) in destinations.iter().enumerate() {
                    if i > 0 {
                        lines.push(b"\n");
                    }
                    d.append(m, &mut lines)?;
                }
                return Ok(Some(Verdict::Route(lines.place())));
            }
            Action::Drop(reason) => return Ok(Some(Verdict::drop(reason))),
            Action::Emit(_) | Action::Mark => {}
        }
        Ok(if self.go_on { None } else { Some(Verdict::Continue) })
    }

    fn copy<'r>(&'r self, m: &mut Message, topic: &'r Template) -> Result<(), &'r Name> {
        let topic = topic.fill(m)?;
        let mut few = [("", &[][..]); FEW];
        let mut count = 0;
        let mut all = m.attributes();
        for attribute in &mut all {
            if count == FEW {
                break;
            }
            few[count] = attribute;
            count += 1;
        }
        let many: Vec<_>;
        let attributes = match all.next() {
            None if count < FEW => &few[..count],
            _ => {
                many = m.attributes().collect();
                &many[..]
            }
        };
        m.emit(Emit {
            topic: value::text(&topic),
            payload: m.payload(),
            attributes,
            message_type: self.message_type.unwrap_or(weft::Type::Event),
            priority: self.priority.unwrap_or_else(|| m.priority()),
            qos: m.qos(),
            ..Emit::default()
        });
        Ok(())
    }
}

/// What the rules look at. The payload is passed only if it may be copied.
fn needs(rules: &[Rule]) -> Needs {
    let mut needs = Needs::none();
    for rule in rules {
        if let Action::Emit(_) = rule.action {
            needs = needs.attributes().whole_payload();
        }
        for name in rule.names() {
            needs = match name {
                Name::Topic => needs.topic(),
                Name::Listener => needs.listener(),
                Name::Key(_) => needs.attributes().context(),
            };
        }
    }
    needs
}

weft::plugin!(Router);
