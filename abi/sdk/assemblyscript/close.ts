export * from "./assembly/close";
