using System;
using System.IO;
using System.Runtime.InteropServices;
using System.Text;
using System.Threading;

/// <summary>Has an action run when the program is to end: at Ctrl-C (SIGINT) and at SIGTERM.</summary>
/// <remarks>
/// .NET tells of both. Mono tells of Ctrl-C only where there is a terminal, and of SIGTERM not at all. A handler in C# would not be safe
/// in a signal, so there the signals are blocked and waited for. They must be blocked in every thread, and Mono has some before
/// Main begins: hence the program blocks them and then starts itself anew in the same process, for a mask outlives that.
/// </remarks>
internal static class Signals
{
    private const int Sigint = 2, Sigterm = 15, SigBlock = 0;
    private const string Started = "DEMO_SIGNALS_ARE_BLOCKED";

    /// <summary>As large as sigset_t is on any Linux.</summary>
    private const int SetBytes = 128;

    private static volatile bool ended;
    private static Thread waiter;

    /// <summary>To be called first of all in Main.</summary>
    internal static void OnStop(Action stop)
    {
        if (Type.GetType("Mono.Runtime") == null || !File.Exists("/proc/self/exe"))
        {
            Console.CancelKeyPress += (sender, press) =>
            {
                // To end in good order, by itself.
                press.Cancel = true;
                stop();
            };
            return;
        }
        byte[] set = new byte[SetBytes];
        sigemptyset(set);
        sigaddset(set, Sigint);
        sigaddset(set, Sigterm);
        if (Environment.GetEnvironmentVariable(Started) == null)
        {
            pthread_sigmask(SigBlock, set, IntPtr.Zero);
            setenv(Started, "1", 1);
            StartAnew();
            // It could not be: then the signals end the program, as they do in most others.
            return;
        }
        waiter = new Thread(() =>
        {
            // In slices, so that it can be ended: Mono does not end well while a thread is inside a native call.
            IntPtr[] slice = { IntPtr.Zero, (IntPtr)(100 * 1000 * 1000) };
            while (!ended)
            {
                if (sigtimedwait(set, IntPtr.Zero, slice) > 0)
                {
                    stop();
                }
            }
        }) { IsBackground = true, Name = "signals" };
        waiter.Start();
    }

    /// <summary>To be called last of all in Main.</summary>
    internal static void End()
    {
        ended = true;
        if (waiter != null)
        {
            waiter.Join();
        }
    }

    private static void StartAnew()
    {
        // Each argument ends at a NUL, so the last piece is empty; in its place comes the null that execv wants.
        string[] command = Encoding.UTF8.GetString(File.ReadAllBytes("/proc/self/cmdline")).Split('\0');
        command[command.Length - 1] = null;
        execv("/proc/self/exe", command);
    }

    [DllImport("libc")]
    private static extern int sigemptyset(byte[] set);

    [DllImport("libc")]
    private static extern int sigaddset(byte[] set, int number);

    [DllImport("libc")]
    private static extern int pthread_sigmask(int how, byte[] set, IntPtr old);

    [DllImport("libc")]
    private static extern int sigtimedwait(byte[] set, IntPtr info, IntPtr[] secondsAndNanoseconds);

    [DllImport("libc")]
    private static extern int setenv(string name, string value, int overwrite);

    [DllImport("libc")]
    private static extern int execv(string path, string[] arguments);
}
