// Package plugins hosts the plugins: it reads, verifies and compiles them, owns
// their instances, and runs batches of messages through chains of them. It owns
// wazero; nothing of wazero shows in what it exports. The contract is abi/SPEC.md.
//
// An [Env] is what all plugins of a process share. [Env.Load] turns a [Spec] into
// a [Plugin] that passed every check; it runs on no loop. [NewChain] makes the
// instances that one loop needs, one of each plugin, and from then on everything
// about the [Chain] happens on that loop's goroutine, without a lock.
//
// A guest is trusted with nothing. Every number that it answers is checked; an
// answer that breaks the contract (a fault) is treated like a trap. The instance
// is thrown away, a new one takes its place, the batch is run again one message
// at a time from the host's own copy, and only a message that fails again meets
// the plugin's failure [Policy]. A plugin that keeps failing rests for a while;
// its policy then answers for it.
package plugins
