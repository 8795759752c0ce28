// What has just been done, said to eyes and to screen readers.
import { useEffect } from "preact/hooks";
import { Cell, useCell } from "../state";
import { Icon } from "./icon";

interface Notice {
  id: number;
  tone: "ok" | "bad";
  text: string;
}

const notices = new Cell<Notice[]>([]);
let last = 0;

/** Says what came of something; what failed stays until it is closed. */
export function notify(tone: "ok" | "bad", text: string): void {
  notices.set([...notices.get().slice(-3), { id: ++last, tone, text }]);
}

const remove = (id: number) => notices.set(notices.get().filter((n) => n.id !== id));

export function Notices() {
  return (
    <div class="notices" aria-live="polite" role="status">
      {useCell(notices).map((n) => <One key={n.id} notice={n} />)}
    </div>
  );
}

function One({ notice }: { notice: Notice }) {
  useEffect(() => {
    if (notice.tone === "bad") return;
    const timer = setTimeout(() => remove(notice.id), 7000);
    return () => clearTimeout(timer);
  }, []);
  return (
    <div class={`notice tone-${notice.tone}`}>
      <Icon name={notice.tone === "ok" ? "ok" : "trapping"} />
      <p>{notice.text}</p>
      <button type="button" class="plain" aria-label="Close this notice" onClick={() => remove(notice.id)}><Icon name="close" /></button>
    </div>
  );
}
