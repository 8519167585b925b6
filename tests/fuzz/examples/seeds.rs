//! Writes right inputs of all targets below a folder, a folder for each: what libFuzzer begins with.

use std::path::PathBuf;

fn main() -> std::io::Result<()> {
    let to: PathBuf = std::env::args_os().nth(1).expect("usage: seeds FOLDER").into();
    for (name, _) in fuzz::TARGETS {
        let folder = to.join(name);
        std::fs::create_dir_all(&folder)?;
        for (number, seed) in fuzz::seeds::of(name).iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{number}")), seed)?;
        }
    }
    Ok(())
}
