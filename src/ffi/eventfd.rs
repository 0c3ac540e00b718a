//! The file descriptor of a queue: an eventfd, where the system has them.

pub use platform::EventFd;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod platform {
    use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
    use std::sync::Arc;

    use crate::error::{Error, Result, Status};
    use crate::store::queue::Signal;

    /// Readable while its queue is not empty; level-triggered, close-on-exec. Closed with the last clone.
    ///
    /// The child of a fork keeps it open: the host's event loop there may still watch the number, which must not become
    /// another file behind its back.
    #[derive(Clone)]
    pub struct EventFd(Arc<OwnedFd>);

    impl EventFd {
        /// Not readable yet.
        pub fn new() -> Result<EventFd> {
            // SAFETY: the call takes two numbers.
            let fd = unsafe { libc::eventfd(0, libc::EFD_CLOEXEC | libc::EFD_NONBLOCK) };
            if fd < 0 {
                let why = std::io::Error::last_os_error();
                return Err(Error::new(Status::NoResources, format!("no eventfd can be made: {why}")));
            }
            // SAFETY: it was just made, and nobody else closes it.
            Ok(EventFd(Arc::new(unsafe { OwnedFd::from_raw_fd(fd) })))
        }

        /// Its number.
        pub fn number(&self) -> i32 {
            self.0.as_raw_fd()
        }
    }

    impl Signal for EventFd {
        fn raise(&self) {
            let one = 1u64.to_ne_bytes();
            // SAFETY: the descriptor is open as long as `self`; the buffer has the 8 bytes. It does not block, and fails
            // only if the counter is full, and so readable.
            unsafe { libc::write(self.number(), one.as_ptr().cast(), one.len()) };
        }

        fn clear(&self) {
            let mut count = [0u8; 8];
            // SAFETY: as in `raise`; it fails only if the counter is 0 already.
            unsafe { libc::read(self.number(), count.as_mut_ptr().cast(), count.len()) };
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod platform {
    use crate::error::{Error, Result, Status};
    use crate::store::queue::Signal;

    /// Cannot be made here.
    #[derive(Clone)]
    pub struct EventFd(std::convert::Infallible);

    impl EventFd {
        /// `NotSupported`.
        pub fn new() -> Result<EventFd> {
            Err(Error::new(Status::NotSupported, "queues have a file descriptor on Linux only; use gossip_queue_take"))
        }

        /// Its number.
        pub fn number(&self) -> i32 {
            match self.0 {}
        }
    }

    impl Signal for EventFd {
        fn raise(&self) {
            match self.0 {}
        }

        fn clear(&self) {
            match self.0 {}
        }
    }
}
