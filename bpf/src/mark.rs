//! Marks: how a decision travels from here to the routing rules and to nftables.

use axoneme_bpf_common::Marks;
use aya_ebpf::programs::TcContext;

/// The packet's mark, our bits only.
#[inline(always)]
pub(crate) fn of(ctx: &TcContext, marks: &Marks) -> u32 {
    whole(ctx) & marks.mask
}

/// Sets our bits of the packet's mark. All others belong to somebody else.
#[inline(always)]
pub(crate) fn set(ctx: &TcContext, marks: &Marks, value: u32) {
    ctx.set_mark(blend(whole(ctx), marks, value));
}

/// `old` with our bits replaced by `value`.
#[inline(always)]
pub(crate) fn blend(old: u32, marks: &Marks, value: u32) -> u32 {
    (old & !marks.mask) | (value & marks.mask)
}

#[inline(always)]
fn whole(ctx: &TcContext) -> u32 {
    // SAFETY: the context that the kernel hands to the program.
    unsafe { (*ctx.skb.skb).mark }
}
