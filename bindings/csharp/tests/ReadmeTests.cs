using System;
using System.Diagnostics;
using System.IO;
using System.Text.RegularExpressions;

namespace ClusterGossip.Tests
{
    /// <summary>The program in the README of the binding compiles and does what it says; the benchmark runs.</summary>
    public sealed class ReadmeTests
    {
        public void ProgramOfTheReadmeRuns()
        {
            if (Type.GetType("Mono.Runtime") == null)
            {
                throw new SkipException("the compiler and the program need Mono");
            }
            string readme = File.ReadAllText(Path.Combine(Fixture.Root, "bindings", "csharp", "README.md"));
            string folder = AppDomain.CurrentDomain.BaseDirectory;
            string source = Path.Combine(folder, "readme.cs"), program = Path.Combine(folder, "readme.exe");
            File.WriteAllText(source, Regex.Match(readme, "```csharp\n(.*?)```", RegexOptions.Singleline).Groups[1].Value);
            Run("mcs", "-warnaserror -lib:\"" + folder + "\" -r:ClusterGossip.dll -r:System.Core.dll -out:\"" + program + "\" \"" + source + "\"");
            Check.Equal("load of the first is 0.7\nfirst: 0.7\n", Run("mono", "\"" + program + "\""));
        }

        public void FiguresOfTheBenchmarkComeOut()
        {
            if (Type.GetType("Mono.Runtime") == null)
            {
                throw new SkipException("the compiler and the program need Mono");
            }
            string figures = Path.Combine(AppDomain.CurrentDomain.BaseDirectory, "figures.json");
            File.Delete(figures);
            Run(Path.Combine(Fixture.Root, "bindings", "csharp", "build.sh"), "bench");
            Run("mono", "\"" + Path.Combine(Fixture.Root, "build", "csharp", "bench.exe") + "\" --quick --json \"" + figures + "\"");
            // Every figure is more than nothing.
            const string Number = @"(0\.0*[1-9]\d*|[1-9]\d*(\.\d+)?)";
            string row = "{\"mark\": \"[^\"]+\", \"ours\": " + Number + ", \"peer\": " + Number + ", \"ratio\": " + Number + "}";
            string text = File.ReadAllText(figures);
            Check.Equal(9, Regex.Matches(text, row).Count, text);
            Check.Equal(9, Regex.Matches(text, "\"mark\"").Count, text);
        }

        private static string Run(string command, string arguments)
        {
            ProcessStartInfo start = new ProcessStartInfo(command, arguments) { UseShellExecute = false, RedirectStandardOutput = true };
            // Numbers as the README has them.
            start.EnvironmentVariables["LC_ALL"] = "C";
            using (Process process = Process.Start(start))
            {
                string output = process.StandardOutput.ReadToEnd();
                process.WaitForExit();
                Check.Equal(0, process.ExitCode, command + ": " + output);
                return output;
            }
        }
    }
}
