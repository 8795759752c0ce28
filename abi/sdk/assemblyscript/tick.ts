export * from "./assembly/tick";
