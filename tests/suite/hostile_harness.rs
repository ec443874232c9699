//! Every hostile guest beside a server that goes on: how long a ping takes meanwhile, and how much memory goes.

use std::io::Write as _;
use std::process::Command;

use tests::hostile;

/// Pings for each guest, before and meanwhile.
const PINGS: usize = 150;
const MOST_GROWTH: f64 = 64.0;
/// The server's own allocator gives back what was freed; here the system's is told to, or old memory would count as taken.
const GIVES_BACK: [(&str, &str); 3] =
    [("MALLOC_ARENA_MAX", "2"), ("MALLOC_MMAP_THRESHOLD_", "65536"), ("MALLOC_TRIM_THRESHOLD_", "65536")];

/// The table is printed past the capture of the test's output: it is what one runs this for. A time is not asserted here; the
/// bench `hostile` measures it on a machine that has nothing else to do.
#[test]
fn no_guest_takes_the_memory_of_the_server() {
    if std::env::var_os("LATENT_TEST_ALONE").is_none() {
        let mut command = Command::new(std::env::current_exe().unwrap());
        let name = "hostile_harness::no_guest_takes_the_memory_of_the_server";
        let output = command
            .args([name, "--exact", "--nocapture"])
            .envs(GIVES_BACK)
            .env("LATENT_TEST_ALONE", "1")
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let table: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("| ")).collect();
        let _ = writeln!(std::io::stderr(), "\n{}", table.join("\n"));
        assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
        assert!(text.contains("1 passed"), "there is no test {name}");
        return;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let rows = runtime.block_on(hostile::run(PINGS));
    for line in hostile::table(&rows).lines() {
        println!("| {line}");
    }
    assert!(rows.len() > 25 && rows.iter().all(|row| row.calls > 0), "every guest is called");
    for row in &rows {
        assert!(row.growth <= MOST_GROWTH, "{} took {:.1} MiB", row.guest, row.growth);
    }
}
