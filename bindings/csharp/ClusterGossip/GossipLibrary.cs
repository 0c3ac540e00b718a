using System;
using System.Collections.Generic;
using System.Runtime.CompilerServices;
using ClusterGossip.Interop;

namespace ClusterGossip
{
    /// <summary>The native library <c>libcluster_gossip</c>: where it is, which it is, what can be set in it.</summary>
    /// <remarks>
    /// Everything in the namespace loads it on first use. The first that applies is loaded, and only that one: a path given to
    /// <see cref="Load(string)"/>; the environment variable <c>CLUSTER_GOSSIP_LIBRARY</c>; a file beside the program; what the system
    /// finds. A process loads one, once: after a failure each further attempt fails in the same way.
    /// </remarks>
    public static class GossipLibrary
    {
        private static readonly object Lock = new object();
        private static volatile bool loaded;
        private static string path;
        private static GossipLibraryException failure;

        /// <summary>The version of the library that is loaded, such as <c>0.1.0</c>.</summary>
        public static string Version
        {
            get
            {
                Load();
                return NativeVersion();
            }
        }

        /// <summary>The version of the interface that this binding and the loaded library have in common.</summary>
        public static int AbiVersion
        {
            get
            {
                Load();
                return (int)NativeAbiVersion();
            }
        }

        /// <summary>Every status that the loaded library knows.</summary>
        public static IReadOnlyList<StatusInfo> Statuses
        {
            get { return Errors.Table; }
        }

        /// <summary>Every setting that the loaded library knows.</summary>
        public static IReadOnlyList<Setting> Settings
        {
            get
            {
                Load();
                return Setting.ReadAll();
            }
        }

        /// <summary>Loads the native library, if it is not loaded yet.</summary>
        /// <exception cref="GossipLibraryException">It was not found, is not one, or is of another ABI version.</exception>
        public static void Load()
        {
            if (!loaded)
            {
                Load(null);
            }
        }

        /// <summary>Loads the native library from a file. To be called before anything else in the namespace is used.</summary>
        /// <param name="path">The file; null for the search described above.</param>
        /// <exception cref="GossipLibraryException">
        /// The file was not found, is not one, is of another ABI version, or another one is loaded already.
        /// </exception>
        public static void Load(string path)
        {
            lock (Lock)
            {
                if (failure != null)
                {
                    throw new GossipLibraryException(failure.Message, failure);
                }
                if (loaded)
                {
                    if (path != null && path != GossipLibrary.path)
                    {
                        throw new GossipLibraryException(
                            "cannot load " + path + ": " + (GossipLibrary.path ?? "another library") + " is loaded already", null);
                    }
                    return;
                }
                try
                {
                    LoadOnce(path);
                }
                catch (GossipLibraryException error)
                {
                    failure = error;
                    throw;
                }
                GossipLibrary.path = path;
                AppDomain.CurrentDomain.ProcessExit += Exit;
                AppDomain.CurrentDomain.DomainUnload += Exit;
                loaded = true;
            }
        }

        private static void LoadOnce(string path)
        {
            string source = path;
            uint version;
            try
            {
                source = LibraryFinder.Prepare(path);
                version = NativeAbiVersion();
            }
            catch (EntryPointNotFoundException error)
            {
                throw new GossipLibraryException(source + " is not a Cluster Gossip library: " + error.Message, error);
            }
            catch (DllNotFoundException error)
            {
                string words = (LibraryFinder.Refused ?? error).Message;
                throw new GossipLibraryException(
                    words.StartsWith("cannot load ", StringComparison.Ordinal) ? words : "cannot load " + source + ": " + words, error);
            }
            catch (BadImageFormatException error)
            {
                throw new GossipLibraryException("cannot load " + source + ": " + error.Message, error);
            }
            if (version != Constants.AbiVersion)
            {
                throw new GossipLibraryException(
                    source + " has ABI version " + version + ", this binding needs ABI version " + Constants.AbiVersion, null);
            }
        }

        // Mono looks a native function up when it compiles the method that calls it, and remembers a failure for good. So what is called
        // before the library is loaded must not itself contain a native call; here, and wherever else Load() is called first.

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static uint NativeAbiVersion()
        {
            return Native.gossip_abi_version();
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static unsafe string NativeVersion()
        {
            return Utf8.FromC(Native.gossip_version());
        }

        /// <summary>The process ends with nodes open: each says that it leaves, and nobody waits for an answer.</summary>
        private static void Exit(object sender, EventArgs arguments)
        {
            NodeHandle.AbandonAll();
            Dispatcher.End();
            QueueWaiter.End();
        }
    }
}
