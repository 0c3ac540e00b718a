//! Threads of the library take no signal of the host's.
//!
//! A process-directed signal may be delivered to any thread that does not block it, so that a host which waits for
//! SIGINT or SIGUSR1 would lose it to a thread of ours. Only the ordinary asynchronous signals are blocked: garbage
//! collectors and profilers of managed hosts stop and sample threads with real-time signals, SIGURG, SIGPROF and such.

/// Runs `start`, which starts threads: those inherit a signal mask with the ordinary asynchronous signals blocked. The
/// calling thread has its own mask back afterwards.
#[cfg(unix)]
pub fn with_quiet_mask<R>(start: impl FnOnce() -> R) -> R {
    use std::mem::MaybeUninit;

    struct Restore(libc::sigset_t);
    impl Drop for Restore {
        fn drop(&mut self) {
            // SAFETY: the mask is the one that was read below.
            unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, &self.0, std::ptr::null_mut()) };
        }
    }

    const QUIET: [libc::c_int; 16] = [
        libc::SIGHUP,
        libc::SIGINT,
        libc::SIGQUIT,
        libc::SIGTERM,
        libc::SIGUSR1,
        libc::SIGUSR2,
        libc::SIGALRM,
        libc::SIGVTALRM,
        libc::SIGCHLD,
        libc::SIGPIPE,
        libc::SIGTSTP,
        libc::SIGTTIN,
        libc::SIGTTOU,
        libc::SIGCONT,
        libc::SIGWINCH,
        libc::SIGIO,
    ];
    // SAFETY: sigemptyset initialises `quiet`; pthread_sigmask fills `before` unless it fails, which it can only do for a
    // wrong first argument.
    let restore = unsafe {
        let mut quiet = MaybeUninit::<libc::sigset_t>::zeroed();
        let mut before = MaybeUninit::<libc::sigset_t>::zeroed();
        libc::sigemptyset(quiet.as_mut_ptr());
        for signal in QUIET {
            libc::sigaddset(quiet.as_mut_ptr(), signal);
        }
        libc::pthread_sigmask(libc::SIG_BLOCK, quiet.as_ptr(), before.as_mut_ptr());
        Restore(before.assume_init())
    };
    let result = start();
    drop(restore);
    result
}

/// Without signals there is nothing to block.
#[cfg(not(unix))]
pub fn with_quiet_mask<R>(start: impl FnOnce() -> R) -> R {
    start()
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;
    use std::mem::MaybeUninit;

    fn blocked(signal: libc::c_int) -> bool {
        // SAFETY: reads this thread's mask into a set that it fills.
        unsafe {
            let mut set = MaybeUninit::<libc::sigset_t>::zeroed();
            libc::pthread_sigmask(libc::SIG_BLOCK, std::ptr::null(), set.as_mut_ptr());
            libc::sigismember(set.as_ptr(), signal) == 1
        }
    }

    #[test]
    fn threads_started_within_block_the_ordinary_signals_only() {
        assert!(!blocked(libc::SIGTERM));
        let thread = with_quiet_mask(|| {
            std::thread::spawn(|| {
                let quiet = [libc::SIGINT, libc::SIGTERM, libc::SIGUSR1, libc::SIGCHLD, libc::SIGPIPE];
                let heard = [libc::SIGSEGV, libc::SIGURG, libc::SIGPROF, libc::SIGPWR, libc::SIGRTMIN()];
                quiet.into_iter().all(blocked) && !heard.into_iter().any(blocked)
            })
        });
        assert!(thread.join().unwrap());
        assert!(!blocked(libc::SIGTERM));
    }
}
