export * from "./assembly/plugin";
