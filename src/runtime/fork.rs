//! Fork safety: the child of a fork has none of the library's threads, and any lock may be held by one of them.
//!
//! Everything that is tied to a process notes the [`epoch`] it was made in. A child of `fork` counts one epoch more, so
//! what it inherited answers `GOSSIP_ERR_FORKED` without touching a lock, and the sockets it inherited are closed, so
//! that it does not keep the parent's ports in use. Only atomics are used here: the handler runs in a child in which
//! nothing else is safe. A `fork` system call made past libc goes unnoticed, as no handler runs then.

use std::sync::atomic::{AtomicI32, AtomicPtr, AtomicU32, Ordering};

static EPOCH: AtomicU32 = AtomicU32::new(1);

/// How many forks lie between this process and the one that loaded the library, plus 1. Never 0.
pub fn epoch() -> u32 {
    EPOCH.load(Ordering::Relaxed)
}

/// A value of which each process has its own: a child of `fork` makes a new one instead of using what its parent's
/// threads may have left half done. Values are never freed, one a process.
#[derive(Debug)]
pub struct PerProcess<T: Send + Sync + 'static> {
    current: AtomicPtr<(u32, T)>,
}

impl<T: Send + Sync + 'static> PerProcess<T> {
    /// Without a value yet.
    pub const fn new() -> PerProcess<T> {
        PerProcess { current: AtomicPtr::new(std::ptr::null_mut()) }
    }

    /// This process's value, which `make` makes if there is none. In a race a value too many is made and dropped.
    pub fn get(&self, make: impl Fn() -> T) -> &'static T {
        let epoch = epoch();
        loop {
            let current = self.current.load(Ordering::Acquire);
            // SAFETY: only pointers from boxes that are never freed are stored.
            if let Some((of, value)) = unsafe { current.as_ref() }
                && *of == epoch
            {
                return value;
            }
            let new = Box::into_raw(Box::new((epoch, make())));
            if self.current.compare_exchange(current, new, Ordering::AcqRel, Ordering::Acquire).is_err() {
                // SAFETY: `new` lost the race: nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
            }
        }
    }
}

impl<T: Send + Sync + 'static> Default for PerProcess<T> {
    fn default() -> Self {
        PerProcess::new()
    }
}

const SLOTS: usize = 256;

/// File descriptors to close in a child; -1 is a free slot. Chunks are only ever added: as many as were needed at once.
struct Chunk {
    slots: [AtomicI32; SLOTS],
    next: AtomicPtr<Chunk>,
}

impl Chunk {
    const fn new() -> Chunk {
        Chunk { slots: [const { AtomicI32::new(-1) }; SLOTS], next: AtomicPtr::new(std::ptr::null_mut()) }
    }

    fn next(&self) -> Option<&'static Chunk> {
        let next = self.next.load(Ordering::Acquire);
        // SAFETY: only `next_or_new` stores a pointer, from a box that is never freed.
        unsafe { next.as_ref() }
    }

    fn next_or_new(&self) -> &'static Chunk {
        if let Some(next) = self.next() {
            return next;
        }
        let new = Box::into_raw(Box::new(Chunk::new()));
        match self.next.compare_exchange(std::ptr::null_mut(), new, Ordering::AcqRel, Ordering::Acquire) {
            // SAFETY: `new` is a box that was given up for good.
            Ok(_) => unsafe { &*new },
            Err(other) => {
                // SAFETY: `new` lost the race: nobody else has seen it.
                drop(unsafe { Box::from_raw(new) });
                // SAFETY: as in `next`.
                unsafe { &*other }
            }
        }
    }
}

static FIRST: Chunk = Chunk::new();

/// `fd` is the library's: a child of `fork` closes it.
pub fn register_fd(fd: i32) {
    let mut chunk: &'static Chunk = &FIRST;
    loop {
        for slot in &chunk.slots {
            if slot.load(Ordering::Relaxed) == -1
                && slot.compare_exchange(-1, fd, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                return;
            }
        }
        chunk = chunk.next_or_new();
    }
}

/// `fd` is about to be closed. Call it before closing: afterwards the number may be the host's.
pub fn unregister_fd(fd: i32) {
    let mut chunk: Option<&'static Chunk> = Some(&FIRST);
    while let Some(c) = chunk {
        for slot in &c.slots {
            if slot.load(Ordering::Relaxed) == fd
                && slot.compare_exchange(fd, -1, Ordering::AcqRel, Ordering::Relaxed).is_ok()
            {
                return;
            }
        }
        chunk = c.next();
    }
}

/// A registered file descriptor, unregistered when dropped; keep it in a field before the one that closes it.
#[derive(Debug)]
pub struct FdGuard(i32);

impl FdGuard {
    /// Registers the descriptor of `socket`.
    #[cfg(unix)]
    pub fn new(socket: &impl std::os::fd::AsRawFd) -> FdGuard {
        let fd = socket.as_raw_fd();
        register_fd(fd);
        FdGuard(fd)
    }

    /// Without `fork` there is nothing to do.
    #[cfg(not(unix))]
    pub fn new<S>(_socket: &S) -> FdGuard {
        FdGuard(-1)
    }
}

impl Drop for FdGuard {
    fn drop(&mut self) {
        if self.0 >= 0 {
            unregister_fd(self.0);
        }
    }
}

/// Makes children of `fork` notice it. Called when the first node or queue is made; later calls do nothing.
#[cfg(unix)]
pub fn install() {
    use std::sync::atomic::AtomicBool;
    static INSTALLED: AtomicBool = AtomicBool::new(false);
    if !INSTALLED.swap(true, Ordering::AcqRel) {
        // SAFETY: the handler is an ordinary function that touches nothing but atomics and file descriptors. An error
        // (no memory) leaves fork unnoticed, as it would be without the call.
        unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    }
}

/// Without `fork` there is nothing to do.
#[cfg(not(unix))]
pub fn install() {}

#[cfg(unix)]
extern "C" fn in_child() {
    EPOCH.fetch_add(1, Ordering::Relaxed);
    let mut chunk: Option<&'static Chunk> = Some(&FIRST);
    while let Some(c) = chunk {
        for slot in &c.slots {
            let fd = slot.swap(-1, Ordering::Relaxed);
            if fd >= 0 {
                // SAFETY: the descriptor is the library's own, and whoever holds it in this child forgets it.
                unsafe { libc::close(fd) };
            }
        }
        chunk = c.next();
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::net::UdpSocket;
    use std::os::fd::AsRawFd;

    #[test]
    fn a_child_counts_one_epoch_more_and_has_the_descriptors_closed() {
        install();
        let mine = UdpSocket::bind("127.0.0.1:0").unwrap();
        let hosts = UdpSocket::bind("127.0.0.1:0").unwrap();
        let guard = FdGuard::new(&mine);
        let (before, fd, other) = (epoch(), mine.as_raw_fd(), hosts.as_raw_fd());
        // SAFETY: the child calls nothing but async-signal-safe functions.
        let pid = unsafe { libc::fork() };
        if pid == 0 {
            // SAFETY: fcntl asks whether the descriptors are open; _exit ends the child at once.
            unsafe {
                let closed = libc::fcntl(fd, libc::F_GETFD) == -1 && libc::fcntl(other, libc::F_GETFD) != -1;
                libc::_exit(if closed && epoch() == before + 1 { 0 } else { 1 });
            }
        }
        assert!(pid > 0);
        let mut status = -1;
        // SAFETY: waits for the child made above.
        assert_eq!(unsafe { libc::waitpid(pid, &mut status, 0) }, pid);
        assert_eq!(status, 0);
        assert_eq!(epoch(), before);
        drop(guard);
    }

    #[test]
    fn more_descriptors_than_a_chunk_holds() {
        // Numbers that no descriptor has: a child forked by a test that runs meanwhile closes none of its own.
        let fds: Vec<i32> = (1_000_000_000..1_000_000_000 + 3 * SLOTS as i32).collect();
        fds.iter().for_each(|&fd| register_fd(fd));
        fds.iter().for_each(|&fd| unregister_fd(fd));
        let mut chunk: Option<&'static Chunk> = Some(&FIRST);
        while let Some(c) = chunk {
            assert!(c.slots.iter().all(|s| s.load(Ordering::Relaxed) < 1_000_000_000));
            chunk = c.next();
        }
    }
}
