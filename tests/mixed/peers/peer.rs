//! A member of the mixed cluster in Rust, through the crate, told what to do by lines on its standard input (../README.md).

use std::error::Error;
use std::io::{BufRead, Write};
use std::time::Duration;

use cluster_gossip::{Config, Node, Value};

fn unhex(digits: &str) -> Result<Vec<u8>, Box<dyn Error>> {
    let digits = digits.as_bytes();
    if !digits.len().is_multiple_of(2) {
        return Err("an odd number of hexadecimal digits".into());
    }
    digits.chunks(2).map(|pair| Ok(u8::from_str_radix(std::str::from_utf8(pair)?, 16)?)).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Decodes %xx; "-" is the empty text.
fn unescape(word: &str) -> Result<String, Box<dyn Error>> {
    if word == "-" {
        return Ok(String::new());
    }
    let mut parts = word.split('%');
    let mut bytes = parts.next().unwrap_or("").as_bytes().to_vec();
    for part in parts {
        let (code, rest) = part.split_at_checked(2).ok_or("two digits are needed after %")?;
        bytes.extend(unhex(code)?);
        bytes.extend(rest.as_bytes());
    }
    Ok(String::from_utf8(bytes)?)
}

fn escape(text: &str) -> String {
    let one =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02x}") };
    or_none(text.bytes().map(one).collect())
}

fn or_none(word: String) -> String {
    if word.is_empty() { "-".into() } else { word }
}

fn parse(kind: &str, word: &str) -> Result<Value, Box<dyn Error>> {
    Ok(match kind {
        "bytes" => Value::from(if word == "-" { Vec::new() } else { unhex(word)? }),
        "text" => Value::from(unescape(word)?),
        "bool" => Value::from(word == "true"),
        "int" => Value::from(word.parse::<i64>()?),
        "double" => Value::from(word.parse::<f64>()?),
        _ => return Err(format!("no such kind: {kind}").into()),
    })
}

fn show(value: &Value) -> String {
    match value {
        Value::Bytes(bytes) => format!("bytes {}", or_none(hex(bytes))),
        Value::Text(text) => format!("text {}", escape(text)),
        Value::Bool(value) => format!("bool {value}"),
        Value::Int(value) => format!("int {value}"),
        Value::Double(value) => format!("double {value:?}"),
        Value::Message { type_url, .. } => format!("other {type_url}"),
    }
}

/// The answer to a command; the error is one of the peer itself, which ends it.
fn answer(node: &Node, words: &[&str]) -> Result<String, Box<dyn Error>> {
    let result = match *words {
        ["set", key, kind, value] => node.set_value(&unescape(key)?, parse(kind, value)?).map(|_| "ok".to_owned()),
        ["get", member, key] => {
            let value = node.value(&unescape(member)?, &unescape(key)?);
            value.map(|value| value.map_or("none".into(), |value| show(&value)))
        }
        ["delete", key] => node.delete(&unescape(key)?).map(|_| "ok".to_owned()),
        ["members"] => node.members(false).map(|members| format!("members {}", members.len())),
        _ => return Err(format!("not understood: {}", words.join(" ")).into()),
    };
    Ok(result.unwrap_or_else(|error| format!("error {}", error.status().name())))
}

fn open() -> Result<Node, Box<dyn Error>> {
    let mut config = Config::new();
    config.set("bind", "127.0.0.1:0")?;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        match pair {
            [name, value] if ["--id", "--cluster", "--seeds"].contains(&name.as_str()) => {
                config.set(&name[2..], value)?
            }
            _ => return Err(format!("no such option: {}", pair.join(" ")).into()),
        }
    }
    Ok(Node::open(&config)?)
}

fn main() -> Result<(), Box<dyn Error>> {
    let node = open()?;
    // The driver reads a line at a time, through a pipe.
    let mut out = std::io::stdout().lock();
    let mut say = |line: &str| -> std::io::Result<()> {
        writeln!(out, "{line}")?;
        out.flush()
    };
    say(&format!("ready {}", node.address()?))?;
    let mut quit = false;
    for line in std::io::stdin().lock().lines() {
        let line = line?;
        let words: Vec<&str> = line.split(' ').collect();
        quit = words == ["quit"];
        if quit {
            break;
        }
        say(&answer(&node, &words)?)?;
    }
    // Others may be gone already, so that nobody acknowledges it.
    let _ = node.leave(Some(Duration::from_secs(1)));
    node.close()?;
    if quit {
        say("bye")?;
    }
    Ok(())
}
