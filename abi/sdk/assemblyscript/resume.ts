export * from "./assembly/resume";
