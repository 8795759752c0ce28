import "./style/base.css";
import "./style/parts.css";
import "./style/map.css";
import { render } from "preact";
import { App } from "./app";
import { watch } from "./live";

watch();
render(<App />, document.getElementById("app")!);
