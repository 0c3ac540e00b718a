using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace ClusterGossip.Interop
{
    /// <summary>
    /// Decides which file the name in <see cref="Native"/> stands for, before the first call. The first that applies, and only that
    /// one: a path given to <see cref="GossipLibrary.Load(string)"/>; the environment variable; a file beside the program (or, in the
    /// layout of NuGet, under <c>runtimes</c>); what the runtime and the system's loader find by name.
    /// </summary>
    internal static class LibraryFinder
    {
        internal const string Variable = "CLUSTER_GOSSIP_LIBRARY";

        // Set before the resolver that reads them is installed.
        private static string chosen;
        private static Exception refused;

        /// <summary>Chooses, and tells the runtime. What was chosen, in words for an error message.</summary>
        internal static string Prepare(string path)
        {
            string source;
            if (path != null)
            {
                chosen = path;
                source = path + ", the path given to GossipLibrary.Load";
            }
            else if (!string.IsNullOrEmpty(Environment.GetEnvironmentVariable(Variable)))
            {
                chosen = Environment.GetEnvironmentVariable(Variable);
                source = chosen + ", named by the environment variable " + Variable;
            }
            else
            {
                chosen = BesideTheProgram();
                source = chosen != null
                    ? chosen + ", found beside the program"
                    : Native.Library + " as the system finds it (" + Variable + " is not set, and no library is beside the program)";
            }
            // With a directory in it, it is a file, and relative to the working directory of now, not of the first call.
            if (chosen != null && chosen.IndexOf(Path.DirectorySeparatorChar) >= 0)
            {
                chosen = Path.GetFullPath(chosen);
                if (!File.Exists(chosen))
                {
                    throw new DllNotFoundException("cannot load " + source + ": there is no such file");
                }
            }
            Tell();
            return source;
        }

        /// <summary>Why the resolver could not load what was chosen, if it could not.</summary>
        internal static Exception Refused
        {
            get { return refused; }
        }

        private static bool IsWindows
        {
            get { return Path.DirectorySeparatorChar == '\\'; }
        }

        private static bool IsMono
        {
            get { return Type.GetType("Mono.Runtime") != null; }
        }

        /// <summary>The names of the file, the one that packages contain first.</summary>
        private static IEnumerable<string> FileNames
        {
            get
            {
                if (IsWindows)
                {
                    return new[] { "cluster_gossip.dll" };
                }
                if (RuntimeInformation.IsOSPlatform(OSPlatform.OSX))
                {
                    return new[] { "libcluster_gossip.dylib", "libcluster_gossip.1.dylib" };
                }
                return new[] { "libcluster_gossip.so", "libcluster_gossip.so.1" };
            }
        }

        /// <summary>As NuGet names platforms: the folder under <c>runtimes</c>.</summary>
        private static string RuntimeIdentifier
        {
            get
            {
                string system = IsWindows ? "win" : RuntimeInformation.IsOSPlatform(OSPlatform.OSX) ? "osx" : "linux";
                return system + "-" + RuntimeInformation.ProcessArchitecture.ToString().ToLowerInvariant();
            }
        }

        private static string BesideTheProgram()
        {
            List<string> folders = new List<string>();
            string assembly = AssemblyFolder();
            if (!string.IsNullOrEmpty(assembly))
            {
                folders.Add(assembly);
            }
            folders.Add(AppDomain.CurrentDomain.BaseDirectory);
            List<string> places = new List<string>(folders);
            if (IsMono || RuntimeInformation.FrameworkDescription.StartsWith(".NET Framework", StringComparison.Ordinal))
            {
                // The others know packages themselves, and better: also which C library a file is for.
                places.AddRange(folders.ConvertAll(folder => Path.Combine(folder, "runtimes", RuntimeIdentifier, "native")));
            }
            foreach (string place in places)
            {
                foreach (string name in FileNames)
                {
                    string file = Path.Combine(place, name);
                    if (File.Exists(file))
                    {
                        return file;
                    }
                }
            }
            return null;
        }

#if NET
        private static string AssemblyFolder()
        {
            // An assembly inside a single file has no place of its own; the base directory serves for it.
            return null;
        }

        private static void Tell()
        {
            try
            {
                NativeLibrary.SetDllImportResolver(typeof(Native).Assembly, Resolve);
            }
            catch (InvalidOperationException)
            {
                // The host has installed a resolver for this assembly itself: it knows better.
            }
        }

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? search)
        {
            if (name != Native.Library)
            {
                return IntPtr.Zero;
            }
            IntPtr library;
            if (chosen != null)
            {
                try
                {
                    return NativeLibrary.Load(chosen);
                }
                catch (Exception error) when (error is DllNotFoundException || error is BadImageFormatException)
                {
                    refused = error;
                    throw;
                }
            }
            // What the runtime itself would find, by the program's deps.json; then what the system has installed.
            if (NativeLibrary.TryLoad(name, assembly, search, out library))
            {
                return library;
            }
            foreach (string file in FileNames)
            {
                if (NativeLibrary.TryLoad(file, out library))
                {
                    return library;
                }
            }
            return IntPtr.Zero;
        }
#else
        // A build for .NET Standard does not know what it will run on, so each way is looked for at run time.

        private static MethodInfo load;
        private static MethodInfo tryLoad;

        private static string AssemblyFolder()
        {
            try
            {
                // Empty where the assembly was loaded from memory, which is no path to some frameworks.
                string file = typeof(Native).Assembly.Location;
                return file.Length == 0 ? null : Path.GetDirectoryName(file);
            }
            catch (NotSupportedException)
            {
                return null;
            }
        }

        private static void Tell()
        {
            if (IsMono)
            {
                TellMono();
                return;
            }
            Type loader = typeof(object).Assembly.GetType("System.Runtime.InteropServices.NativeLibrary");
            if (loader != null)
            {
                TellCoreClr(loader);
            }
            else if (chosen != null && IsWindows)
            {
                // .NET Framework: a module that is loaded already is found by its name.
                TellDotNetFramework();
            }
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void TellDotNetFramework()
        {
            if (LoadLibraryW(chosen) == IntPtr.Zero)
            {
                throw new DllNotFoundException("cannot load " + chosen);
            }
        }

        private static void TellMono()
        {
            string target = chosen;
            if (target == null)
            {
                // Where only the run-time part of the library is installed there is no libcluster_gossip.so.
                try
                {
                    TryInstalled();
                    target = "libcluster_gossip.so.1";
                }
                catch (Exception error) when (error is DllNotFoundException || error is EntryPointNotFoundException)
                {
                    return;
                }
            }
            // As <dllmap dll="cluster_gossip" target="..."/> in the program's configuration file would; a null pointer is "any".
            IntPtr from = Marshal.StringToHGlobalAnsi(Native.Library);
            IntPtr to = Marshal.StringToHGlobalAnsi(target);
            mono_dllmap_insert(IntPtr.Zero, from, IntPtr.Zero, to, IntPtr.Zero);
            Marshal.FreeHGlobal(from);
            Marshal.FreeHGlobal(to);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static void TryInstalled()
        {
            // In a method of its own: Mono loads the library when it compiles the method, also where it is not to be called.
            InstalledAbiVersion();
        }

        private static void TellCoreClr(Type loader)
        {
            Type resolver = typeof(object).Assembly.GetType("System.Runtime.InteropServices.DllImportResolver");
            load = loader.GetMethod("Load", new[] { typeof(string) });
            tryLoad = loader.GetMethod(
                "TryLoad", new[] { typeof(string), typeof(Assembly), typeof(DllImportSearchPath?), typeof(IntPtr).MakeByRefType() });
            MethodInfo set = loader.GetMethod("SetDllImportResolver", new[] { typeof(Assembly), resolver });
            Delegate resolve = Delegate.CreateDelegate(resolver, typeof(LibraryFinder), "Resolve");
            try
            {
                set.Invoke(null, new object[] { typeof(Native).Assembly, resolve });
            }
            catch (TargetInvocationException error) when (error.InnerException is InvalidOperationException)
            {
                // The host has installed a resolver for this assembly itself: it knows better.
            }
        }

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? search)
        {
            if (name != Native.Library)
            {
                return IntPtr.Zero;
            }
            if (chosen != null)
            {
                try
                {
                    return (IntPtr)load.Invoke(null, new object[] { chosen });
                }
                catch (TargetInvocationException error)
                {
                    // Not IntPtr.Zero: the runtime would go on and look elsewhere.
                    refused = error.InnerException;
                    throw refused;
                }
            }
            // What the runtime itself would find, by the program's deps.json; then what the system has installed.
            List<string> names = new List<string> { name };
            names.AddRange(FileNames);
            foreach (string each in names)
            {
                object[] arguments = { each, assembly, search, IntPtr.Zero };
                if ((bool)tryLoad.Invoke(null, arguments))
                {
                    return (IntPtr)arguments[3];
                }
            }
            return IntPtr.Zero;
        }

        [DllImport("libcluster_gossip.so.1", EntryPoint = "gossip_abi_version", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        private static extern uint InstalledAbiVersion();

        [DllImport("__Internal", CallingConvention = CallingConvention.Cdecl, ExactSpelling = true)]
        private static extern void mono_dllmap_insert(IntPtr assembly, IntPtr dll, IntPtr function, IntPtr targetDll, IntPtr targetFunction);

        [DllImport("kernel32", CharSet = CharSet.Unicode, SetLastError = true, ExactSpelling = true)]
        private static extern IntPtr LoadLibraryW(string path);
#endif
    }
}
