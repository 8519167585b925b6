//! Nothing on the packet path allocates once queues have reached their high-water mark.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use ultraloom_tests::figures;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

/// The system's allocator, counting.
struct Counting;

#[allow(unsafe_code, reason = "an allocator can only be written so; it passes every call on")]
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on unchanged.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are passed on unchanged.
        unsafe { System.dealloc(pointer, layout) }
    }
    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        // SAFETY: the caller's promises are passed on unchanged.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

fn allocations(megabytes: u32) -> (u64, u64) {
    let text = format!(
        "profile = \"htsim\"\n[topology]\nhosts = 16\n[workload]\nkind = \"permutation\"\n\
         bytes = \"{megabytes} MB\"\n[records]\nseries = false\n"
    );
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    let hops = figures(&text).engine.hops;
    (ALLOCATIONS.load(Ordering::Relaxed) - before, hops)
}

/// Ten times the packets of the same flows take hardly any allocations more.
#[test]
fn more_packets_do_not_allocate_more() {
    allocations(2);
    let (short, short_hops) = allocations(4);
    let (long, long_hops) = allocations(40);
    let (more, packets) = (long.saturating_sub(short), long_hops - short_hops);
    assert!(packets > 700_000, "{packets}");
    assert!(more * 1_000 < packets, "{more} allocations in {packets} packet-hops");
}
