export * from "./assembly/open";
