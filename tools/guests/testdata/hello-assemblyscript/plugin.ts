import { Message, Needs, Plugin, Verdict, Writer, register } from "weft";
export * from "weft/plugin";

class Hello extends Plugin {
  needs(): Needs {
    return Needs.none().topic();
  }

  message(m: Message): Verdict {
    m.setTopic(Writer.create().text("hello/").bytes(m.topic));
    return Verdict.Continue;
  }
}

register(new Hello());
