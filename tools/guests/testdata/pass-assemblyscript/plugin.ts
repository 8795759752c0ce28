import { Message, Plugin, Verdict, register } from "weft";
export * from "weft/plugin";

/** Passes everything: what is measured is the SDK. */
class Pass extends Plugin {
  message(m: Message): Verdict {
    return Verdict.Continue;
  }
}

register(new Pass());
