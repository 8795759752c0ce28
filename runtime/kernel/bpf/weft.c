// SPDX-License-Identifier: Apache-2.0
//
// The programs: one policy under two hooks. XDP sees a packet before the kernel has
// made anything of it; tcx, where XDP is not to be had, when it has become a buffer.
#include "policy.h"

SEC("xdp.frags")
int weft_xdp(struct xdp_md *xdp)
{
	struct view view = view_xdp(xdp);
	u32 offset = 0, type = inner_type(&view, &offset);

	return verdict(&view, type, offset) ? XDP_DROP : XDP_PASS;
}

SEC("tcx/ingress")
int weft_tcx(struct __sk_buff *skb)
{
	struct view view = view_skb(skb);
	u32 offset = 0, type = inner_type(&view, &offset);

	return verdict(&view, type, offset) ? TCX_DROP : TCX_NEXT;
}

// For interfaces without Ethernet: tunnels.
SEC("tcx/ingress")
int weft_tcx_ip(struct __sk_buff *skb)
{
	struct view view = view_skb(skb);

	return verdict(&view, BIG16((u16)skb->protocol), 0) ? TCX_DROP : TCX_NEXT;
}

// Run by hand: what time it is.
SEC("xdp")
int weft_now(struct xdp_md *xdp __attribute__((unused)))
{
	u32 zero = 0;
	u64 *to = map_lookup(&now, &zero);
	struct state *current = map_lookup(&state, &zero);

	if (to && current)
		*to = time(current);
	return XDP_PASS;
}

char terms[] SEC("license") = "Apache-2.0";
