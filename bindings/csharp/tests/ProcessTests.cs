using System.Linq;
using System.Threading;
using System.Threading.Tasks;

namespace ClusterGossip.Tests
{
    /// <summary>The process around the binding: its end without Dispose, and its death. Each in a process of its own.</summary>
    public sealed class ProcessTests : Fixture
    {
        private bool stop;

        public void ReturnFromMainWithoutDispose()
        {
            ExitsCleanly("return", 10);
        }

        public void EnvironmentExitWithoutDispose()
        {
            ExitsCleanly("exit", 10);
        }

        public void EnvironmentExitInAHandler()
        {
            ExitsCleanly("in-handler", 3);
        }

        public void ExitWhileAnEnumerationWaits()
        {
            ExitsCleanly("enumerating", 3);
        }

        public void ExitWhileTasksWait()
        {
            ExitsCleanly("awaiting", 3);
        }

        public void ExitWithObjectsLeftToTheFinalizers()
        {
            ExitsCleanly("collected", 3);
        }

        public void ObserverOutlivesAKilledProcess()
        {
            Node observer = Open();
            Task writing = Write(observer);
            Child child = new Child("victim", null, ClusterName, "victim", observer.Address);
            try
            {
                Check.Equal("up", child.Output.ReadLine());
                Until("its entries come", () => observer.Entries("key:", "victim").Count != 0);
            }
            finally
            {
                child.Kill();
            }
            Volatile.Write(ref stop, true);
            Check.True(writing.Wait(Patience), "the writer ends");
            observer.Set("key", "goes on");
            using (Changes changes = observer.Changes(new ChangeFilter { Key = "key", Initial = true }))
            {
                Check.Equal("goes on", changes.First().Value);
            }
        }

        private void ExitsCleanly(string how, int times)
        {
            Node observer = Open();
            Task writing = Write(observer);
            for (int attempt = 0; attempt < times; attempt++)
            {
                string id = how + "-" + attempt;
                Check.Equal("", new Child("exit", null, how, ClusterName, id, observer.Address).End(), "output");
                // The one notice at exit was sent.
                Until("it is known to have left, attempt " + attempt, () => StatusOf(observer, id) == MemberStatus.Left);
            }
            Volatile.Write(ref stop, true);
            Check.True(writing.Wait(Patience), "the writer ends");
        }

        /// <summary>Gives the others something to be told of, all the time.</summary>
        private Task Write(Node node)
        {
            return Task.Run(() =>
            {
                for (long number = 0; !Volatile.Read(ref stop); number++)
                {
                    node.Set("busy:" + (number % 50), number);
                    if (number % 50 == 0)
                    {
                        Thread.Sleep(1);
                    }
                }
            });
        }
    }
}
