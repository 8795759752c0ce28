export * from "./assembly/snapshot";
