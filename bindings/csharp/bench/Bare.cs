using System;
using System.Reflection;
using System.Runtime.InteropServices;
using System.Security;
using System.Text;
using ClusterGossip;

/// <summary>The same work by bare calls of the library: arguments prepared beforehand, nothing made of what is read.</summary>
[SuppressUnmanagedCodeSecurity]
internal sealed unsafe class Bare
{
    private const string Library = "cluster_gossip";
    private const int Bytes = 1, EntryChanged = 1, Prefix = 4, Batch = 256, TimeoutMs = 60000;

    private readonly ulong node;
    private readonly byte* member, key, value, prefix;

    /// <summary>The id of the node is the binding's own affair, so it is looked up there.</summary>
    internal Bare(Node node, string member, byte[] value)
    {
        object handle = typeof(Node).GetField("handle", BindingFlags.Instance | BindingFlags.NonPublic).GetValue(node);
        this.node = (ulong)handle.GetType().BaseType.GetField("Id", BindingFlags.Instance | BindingFlags.NonPublic).GetValue(handle);
        this.member = Unmanaged(Encoding.UTF8.GetBytes(member + "\0"));
        key = Unmanaged(Encoding.UTF8.GetBytes("bench"));
        prefix = Unmanaged(Encoding.UTF8.GetBytes("event:"));
        this.value = Unmanaged(value);
    }

    internal void GetOne()
    {
        Get(member);
    }

    internal void GetAll()
    {
        Get(null);
    }

    internal void GetOwn()
    {
        IntPtr entries;
        Check(gossip_get_own(node, key, (UIntPtr)5, &entries));
        Drop(entries);
    }

    internal void Set()
    {
        ulong seq;
        Check(gossip_set_plain(node, key, (UIntPtr)5, Bytes, value, (UIntPtr)64, 0, 0, &seq, null, UIntPtr.Zero));
    }

    /// <summary>Changes a second: batches are taken and packed, since that is what reading begins with, and their records are counted.</summary>
    internal double Events(int count, Action fill)
    {
        ulong queue, subscription;
        Check(gossip_queue_new(UIntPtr.Zero, &queue));
        Check(gossip_subscribe_queue(node, EntryChanged, null, prefix, (UIntPtr)6, Prefix, queue, 0, &subscription));
        fill();
        int seen = 0;
        System.Diagnostics.Stopwatch watch = System.Diagnostics.Stopwatch.StartNew();
        while (seen < count)
        {
            IntPtr events;
            UIntPtr length;
            Check(gossip_queue_take(queue, (UIntPtr)Batch, TimeoutMs, &events));
            byte* at = gossip_events_packed(events, &length);
            for (byte* end = at + (ulong)length; at < end; at += *(uint*)at)
            {
                seen++;
            }
            gossip_events_free(events);
        }
        double rate = count / watch.Elapsed.TotalSeconds;
        Check(gossip_queue_free(queue));
        return rate;
    }

    private void Get(byte* member)
    {
        IntPtr entries;
        Check(gossip_get(node, member, key, (UIntPtr)5, 0, &entries));
        Drop(entries);
    }

    private static void Drop(IntPtr entries)
    {
        // The packed form is made when it is asked for, so it belongs to the bare cost.
        UIntPtr length;
        gossip_entries_packed(entries, &length);
        gossip_entries_free(entries);
    }

    /// <summary>Kept for as long as the program runs.</summary>
    private static byte* Unmanaged(byte[] bytes)
    {
        IntPtr memory = Marshal.AllocHGlobal(bytes.Length);
        Marshal.Copy(bytes, 0, memory, bytes.Length);
        return (byte*)memory;
    }

    private static void Check(int status)
    {
        if (status != 0)
        {
            throw new InvalidOperationException("status " + status);
        }
    }

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern int gossip_get(ulong node, byte* member, byte* key, UIntPtr keyLength, uint flags, IntPtr* entries);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern int gossip_get_own(ulong node, byte* key, UIntPtr keyLength, IntPtr* entries);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern byte* gossip_entries_packed(IntPtr entries, UIntPtr* length);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern void gossip_entries_free(IntPtr entries);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern int gossip_set_plain(ulong node, byte* key, UIntPtr keyLength, int valueKind, byte* value, UIntPtr valueLength,
        long ttlMs, uint flags, ulong* seq, byte* errbuf, UIntPtr errbufLength);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern int gossip_queue_new(UIntPtr lines, ulong* queue);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern int gossip_subscribe_queue(ulong node, uint what, byte* member, byte* key, UIntPtr keyLength, uint flags, ulong queue,
        ulong tag, ulong* subscription);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern int gossip_queue_take(ulong queue, UIntPtr max, int timeoutMs, IntPtr* events);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern byte* gossip_events_packed(IntPtr events, UIntPtr* length);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern void gossip_events_free(IntPtr events);

    [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
    private static extern int gossip_queue_free(ulong queue);
}
