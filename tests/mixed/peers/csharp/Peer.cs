// A member of the mixed cluster in C#, through the binding, told what to do by lines on its standard input (../../README.md).

using System;
using System.Collections.Generic;
using System.Globalization;
using System.IO;
using System.Linq;
using System.Text;
using ClusterGossip;

internal static class Peer
{
    private static int Main(string[] arguments)
    {
        Dictionary<string, string> options = new Dictionary<string, string>();
        for (int index = 0; index + 1 < arguments.Length; index += 2)
        {
            options[arguments[index]] = arguments[index + 1];
        }
        UTF8Encoding utf8 = new UTF8Encoding(false);
        // Of its own making, so that no locale decides how a line is written, and each line goes out at once.
        using (StreamWriter output = new StreamWriter(Console.OpenStandardOutput(), utf8) { AutoFlush = true, NewLine = "\n" })
        using (StreamReader input = new StreamReader(Console.OpenStandardInput(), utf8))
        using (Node node = new Node(new NodeSettings
        {
            ["id"] = options["--id"],
            ["cluster"] = options["--cluster"],
            ["seeds"] = options["--seeds"],
            ["bind"] = "127.0.0.1:0",
        }))
        {
            output.WriteLine("ready " + node.Address);
            string line;
            while ((line = input.ReadLine()) != null)
            {
                if (line == "quit")
                {
                    node.Dispose();
                    output.WriteLine("bye");
                    return 0;
                }
                string answer;
                try
                {
                    answer = Answer(node, line.Split(' '));
                }
                catch (GossipException error)
                {
                    answer = "error " + error.Name;
                }
                if (answer == null)
                {
                    Console.Error.WriteLine("not understood: " + line);
                    return 1;
                }
                output.WriteLine(answer);
            }
        }
        return 0;
    }

    /// <summary>The answer to a command; null if it is none.</summary>
    private static string Answer(Node node, string[] words)
    {
        switch (words[0] + " " + (words.Length - 1))
        {
            case "set 3":
                return Set(node, Unescape(words[1]), words[2], words[3]) ? "ok" : null;
            case "get 2":
                Entry entry = node.Get(Unescape(words[1]), Unescape(words[2]));
                return entry == null ? "none" : Show(entry);
            case "delete 1":
                node.Delete(Unescape(words[1]));
                return "ok";
            case "members 0":
                return "members " + node.Members().Count;
            default:
                return null;
        }
    }

    private static bool Set(Node node, string key, string kind, string word)
    {
        switch (kind)
        {
            case "bytes":
                node.Set(key, Hex(word));
                return true;
            case "text":
                node.Set(key, Unescape(word));
                return true;
            case "bool":
                node.Set(key, word == "true");
                return true;
            case "int":
                node.Set(key, long.Parse(word, CultureInfo.InvariantCulture));
                return true;
            case "double":
                node.Set(key, Double(word));
                return true;
            default:
                return false;
        }
    }

    private static string Show(Entry entry)
    {
        byte[] bytes;
        string text;
        bool boolean;
        long integer;
        double number;
        if (entry.TryAs(out bytes))
        {
            return "bytes " + (bytes.Length == 0 ? "-" : string.Concat(bytes.Select(each => each.ToString("x2", CultureInfo.InvariantCulture))));
        }
        if (entry.TryAs(out text))
        {
            return "text " + Escape(text);
        }
        if (entry.TryAs(out boolean))
        {
            return "bool " + (boolean ? "true" : "false");
        }
        if (entry.TryAs(out integer))
        {
            return "int " + integer.ToString(CultureInfo.InvariantCulture);
        }
        if (entry.TryAs(out number))
        {
            return "double " + Text(number);
        }
        return "other " + entry.TypeUrl;
    }

    /// <summary>As strtod reads it: .NET writes and reads the numbers that are none in another way.</summary>
    private static double Double(string word)
    {
        switch (word)
        {
            case "nan":
                return double.NaN;
            case "inf":
                return double.PositiveInfinity;
            case "-inf":
                return double.NegativeInfinity;
            default:
                double number = double.Parse(word, CultureInfo.InvariantCulture);
                // Frameworks before .NET Core 3.0 lose the sign here.
                return number == 0 && word[0] == '-' ? -0.0 : number;
        }
    }

    private static string Text(double number)
    {
        if (double.IsNaN(number))
        {
            return "nan";
        }
        if (double.IsInfinity(number))
        {
            return number > 0 ? "inf" : "-inf";
        }
        // Likewise the sign; G17 always comes back as the same number, which R does not on older frameworks.
        return number == 0 && 1 / number < 0 ? "-0.0" : number.ToString("G17", CultureInfo.InvariantCulture);
    }

    private static byte[] Hex(string word)
    {
        return word == "-"
            ? new byte[0]
            : Enumerable.Range(0, word.Length / 2).Select(index => Convert.ToByte(word.Substring(index * 2, 2), 16)).ToArray();
    }

    private static string Escape(string text)
    {
        StringBuilder word = new StringBuilder();
        foreach (byte each in Encoding.UTF8.GetBytes(text))
        {
            char c = (char)each;
            bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
            word.Append(plain ? c.ToString() : "%" + each.ToString("x2", CultureInfo.InvariantCulture));
        }
        return word.Length == 0 ? "-" : word.ToString();
    }

    private static string Unescape(string word)
    {
        if (word == "-")
        {
            return "";
        }
        List<byte> bytes = new List<byte>();
        for (int index = 0; index < word.Length; index++)
        {
            if (word[index] == '%')
            {
                bytes.Add(Convert.ToByte(word.Substring(index + 1, 2), 16));
                index += 2;
            }
            else
            {
                bytes.Add((byte)word[index]);
            }
        }
        return Encoding.UTF8.GetString(bytes.ToArray());
    }
}
