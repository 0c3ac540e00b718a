using System;
using System.Collections.Generic;
using System.Diagnostics;
using System.IO;
using System.Linq;
using System.Reflection;
using System.Runtime.ExceptionServices;
using System.Text;
using System.Threading;
using System.Threading.Tasks;

namespace ClusterGossip.Tests
{
    /// <summary>
    /// Runs every public method without parameters of every class whose name ends with Tests, each with an object of its own, and closes
    /// with the line "N passed, N failed, N skipped". Arguments: parts of names of the tests to be run; none runs all.
    /// </summary>
    internal static class Runner
    {
        /// <summary>Only for a test that hangs: many times what the slowest takes.</summary>
        private static readonly TimeSpan Limit = TimeSpan.FromMinutes(5);

        private static int Main(string[] arguments)
        {
            Console.SetOut(new StreamWriter(Console.OpenStandardOutput(), new UTF8Encoding(false)) { AutoFlush = true });
            if (arguments.Length > 1 && arguments[0] == "--child")
            {
                return Children.Run(arguments[1], arguments.Skip(2).ToArray());
            }
            int passed = 0, failed = 0, skipped = 0;
            foreach (MethodInfo test in Tests().Where(test => Wanted(test, arguments)))
            {
                string name = Name(test);
                Stopwatch watch = Stopwatch.StartNew();
                Exception error = Run(test);
                if (error == null)
                {
                    passed++;
                    Console.WriteLine("ok    {0} ({1} ms)", name, watch.ElapsedMilliseconds);
                }
                else if (error is SkipException)
                {
                    skipped++;
                    Console.WriteLine("skip  {0}: {1}", name, error.Message);
                }
                else
                {
                    failed++;
                    Console.WriteLine("FAIL  {0}", name);
                    Console.WriteLine(error);
                }
            }
            Console.WriteLine("{0} passed, {1} failed, {2} skipped", passed, failed, skipped);
            return failed != 0 || passed + skipped == 0 ? 1 : 0;
        }

        private static IEnumerable<MethodInfo> Tests()
        {
            return
                from type in typeof(Runner).Assembly.GetTypes()
                where type.Name.EndsWith("Tests", StringComparison.Ordinal)
                orderby type.Name
                from method in type.GetMethods(BindingFlags.Public | BindingFlags.Instance | BindingFlags.DeclaredOnly)
                where method.GetParameters().Length == 0 && method.Name != "Dispose"
                select method;
        }

        private static bool Wanted(MethodInfo test, string[] parts)
        {
            return parts.Length == 0 || parts.Any(part => Name(test).IndexOf(part, StringComparison.OrdinalIgnoreCase) >= 0);
        }

        private static string Name(MethodInfo test)
        {
            return test.DeclaringType.Name + "." + test.Name;
        }

        private static Exception Run(MethodInfo test)
        {
            Exception error = null;
            Thread thread = new Thread(() =>
            {
                try
                {
                    object instance = Activator.CreateInstance(test.DeclaringType);
                    try
                    {
                        Task task = test.Invoke(instance, null) as Task;
                        if (task != null)
                        {
                            task.GetAwaiter().GetResult();
                        }
                    }
                    finally
                    {
                        IDisposable disposable = instance as IDisposable;
                        if (disposable != null)
                        {
                            disposable.Dispose();
                        }
                    }
                }
                catch (TargetInvocationException wrapped)
                {
                    error = wrapped.InnerException;
                }
                catch (Exception thrown)
                {
                    error = thrown;
                }
            }) { IsBackground = true, Name = Name(test) };
            thread.Start();
            return thread.Join(Limit) ? error : new TimeoutException("the test hangs");
        }
    }

    /// <summary>The test cannot run here.</summary>
    internal sealed class SkipException : Exception
    {
        internal SkipException(string reason)
            : base(reason)
        {
        }
    }

    /// <summary>What a test expected is not so.</summary>
    internal sealed class CheckException : Exception
    {
        internal CheckException(string message)
            : base(message)
        {
        }
    }

    internal static class Check
    {
        internal static void True(bool condition, string what)
        {
            if (!condition)
            {
                throw new CheckException("not so: " + what);
            }
        }

        internal static void Equal(object expected, object found, string what = "value")
        {
            if (!Same(expected, found))
            {
                throw new CheckException(what + ": expected " + Show(expected) + ", found " + Show(found));
            }
        }

        /// <summary>Of one type and equal; arrays and lists by their items, so that doubles are compared by their bits.</summary>
        internal static bool Same(object expected, object found)
        {
            if (expected == null || found == null)
            {
                return expected == found;
            }
            if (expected is double && found is double)
            {
                return BitConverter.DoubleToInt64Bits((double)expected) == BitConverter.DoubleToInt64Bits((double)found);
            }
            if (expected is System.Collections.IEnumerable && found is System.Collections.IEnumerable && !(expected is string) && !(found is string))
            {
                object[] left = ((System.Collections.IEnumerable)expected).Cast<object>().ToArray();
                object[] right = ((System.Collections.IEnumerable)found).Cast<object>().ToArray();
                return left.Length == right.Length && left.Zip(right, Same).All(same => same);
            }
            return expected.GetType() == found.GetType() && expected.Equals(found);
        }

        /// <summary>The exception that the action throws, which must be of exactly that type.</summary>
        internal static T Throws<T>(Action action)
            where T : Exception
        {
            try
            {
                action();
            }
            catch (Exception error)
            {
                if (error.GetType() == typeof(T))
                {
                    return (T)error;
                }
                throw new CheckException("expected a " + typeof(T).Name + ", found " + error);
            }
            throw new CheckException("expected a " + typeof(T).Name + ", nothing was thrown");
        }

        internal static async Task<T> ThrowsAsync<T>(Task task)
            where T : Exception
        {
            Exception found = null;
            try
            {
                await task;
            }
            catch (Exception error)
            {
                found = error;
            }
            return Throws<T>(() =>
            {
                if (found != null)
                {
                    ExceptionDispatchInfo.Capture(found).Throw();
                }
            });
        }

        internal static void Contains(string part, string text)
        {
            True(text != null && text.Contains(part), "'" + part + "' is in '" + text + "'");
        }

        internal static string Show(object value)
        {
            if (value == null)
            {
                return "null";
            }
            if (value is string)
            {
                return "\"" + value + "\"";
            }
            System.Collections.IEnumerable items = value as System.Collections.IEnumerable;
            if (items != null)
            {
                object[] all = items.Cast<object>().ToArray();
                return "[" + string.Join(", ", all.Take(20).Select(Show)) + (all.Length > 20 ? ", ... " + all.Length + " in all]" : "]");
            }
            return value + " (" + value.GetType().Name + ")";
        }
    }
}
