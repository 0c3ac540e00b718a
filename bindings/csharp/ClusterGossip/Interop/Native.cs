using System;
using System.Runtime.InteropServices;
using System.Security;

namespace ClusterGossip.Interop
{
    /// <summary>
    /// The C functions that the binding calls; nothing else. Every parameter is a number or a pointer, so that a call needs no
    /// marshalling. An id is a struct of one uint64_t in C, which is passed like a ulong.
    /// </summary>
    [SuppressUnmanagedCodeSecurity]
    internal static unsafe class Native
    {
        /// <summary>What <see cref="LibraryFinder"/> maps to the file that is to be loaded.</summary>
        internal const string Library = "cluster_gossip";

        // ---- statuses and the library itself

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern uint gossip_abi_version();

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_version();

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern UIntPtr gossip_status_count();

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_status_at(UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_status_name(int status);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_status_text(int status);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_status_can_retry(int status);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern UIntPtr gossip_setting_count();

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_setting_name(UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_setting_type(UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_setting_unit(UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_setting_default(UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_setting_bounds(UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_setting_text(UIntPtr index);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern uint gossip_setting_flags(UIntPtr index);

        // ---- configuration and node

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_config_new(ulong* config);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_config_set(ulong config, byte* name, byte* value, byte* errbuf, UIntPtr errbufLength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_config_free(ulong config);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_open(ulong config, ulong* node, byte* errbuf, UIntPtr errbufLength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_open_text(byte* settings, ulong* node, byte* errbuf, UIntPtr errbufLength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_reconfigure(ulong node, byte* name, byte* value, byte* errbuf, UIntPtr errbufLength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_setting_get(ulong node, byte* name, IntPtr* bytes);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_state(ulong node, int* state);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_self(ulong node, IntPtr* members);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_leave(ulong node, int timeoutMs);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_leave_nowait(ulong node);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_close(ulong node);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_close_nowait(ulong node);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_wait_for_members(ulong node, UIntPtr alive, int timeoutMs);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_wait_synced(ulong node, int timeoutMs);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_describe(ulong node, IntPtr* bytes);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_snapshot(ulong node, int format, IntPtr* bytes);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_offsets(ulong node, IntPtr* bytes);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_metrics(ulong node, int format, IntPtr* bytes);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_bytes_data(IntPtr bytes, UIntPtr* length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern void gossip_bytes_free(IntPtr bytes);

        // ---- bans and statistics

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_ban(ulong node, byte* member, byte* errbuf, UIntPtr errbufLength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_unban(ulong node, byte* member, byte* errbuf, UIntPtr errbufLength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_bans(ulong node, IntPtr* bytes);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_statistic_set(ulong node, byte* name, long value, byte* errbuf, UIntPtr errbufLength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_statistic_delete(ulong node, byte* name, byte* errbuf, UIntPtr errbufLength);

        // ---- state and members

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_set_with(ulong node, byte* key, UIntPtr keyLength, byte* typeUrl, byte* value, UIntPtr valueLength,
            long ttlMs, uint flags, ulong* seq, byte* errbuf, UIntPtr errbufLength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_set_plain(ulong node, byte* key, UIntPtr keyLength, int valueKind, byte* value, UIntPtr valueLength,
            long ttlMs, uint flags, ulong* seq, byte* errbuf, UIntPtr errbufLength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_delete(ulong node, byte* key, UIntPtr keyLength);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_get(ulong node, byte* member, byte* key, UIntPtr keyLength, uint flags, IntPtr* entries);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_get_own(ulong node, byte* key, UIntPtr keyLength, IntPtr* entries);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_entries_packed(IntPtr entries, UIntPtr* length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern void gossip_entries_free(IntPtr entries);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_members_get(ulong node, uint flags, IntPtr* members);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_members_packed(IntPtr members, UIntPtr* length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern void gossip_members_free(IntPtr members);

        // ---- changes

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_subscribe_queue(ulong node, uint what, byte* member, byte* key, UIntPtr keyLength, uint flags,
            ulong queue, ulong tag, ulong* subscription);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_unsubscribe(ulong subscription);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_queue_new(UIntPtr lines, ulong* queue);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_queue_fd(ulong queue, int* descriptor);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_queue_take(ulong queue, UIntPtr max, int timeoutMs, IntPtr* events);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_queue_wake(ulong queue);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern int gossip_queue_free(ulong queue);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern byte* gossip_events_packed(IntPtr events, UIntPtr* length);

        [DllImport(Library, CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        internal static extern void gossip_events_free(IntPtr events);
    }
}
