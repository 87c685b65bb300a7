#!/usr/bin/env python3
"""Checks that no more tests run at once than -j allows, in runs with random policies.

Every test takes one of as many places as there are slots, which are directories, and fails if all
of them are taken. Usage: stress.py PATH-OF-CARGO-PARTEST [RUNS] [SEED]
"""

import os
import random
import shutil
import subprocess
import sys
import tempfile

COMMON = """
#[allow(dead_code)]
fn takes_a_place(millis: u64) {
    let log = std::path::PathBuf::from(std::env::var_os("PLACES").unwrap());
    let slots: usize = std::env::var("SLOTS").unwrap().parse().unwrap();
    let mut places = (0..slots).map(|place| log.join(place.to_string()));
    let mine = places.find(|place| std::fs::create_dir(place).is_ok());
    let mine = mine.expect("more tests run than there are slots");
    std::thread::sleep(std::time::Duration::from_millis(millis));
    std::fs::remove_dir(mine).unwrap();
}
"""
STATIC = "static _HERE: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);\n"
MANIFEST = '[package]\nname = "crowd"\nversion = "0.1.0"\nedition = "2021"\n[workspace]\n'
BINARIES = 6


def write(path, text):
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def package(directory, chance):
    write(f"{directory}/src/lib.rs", "")
    for binary in range(BINARIES):
        text = COMMON + (STATIC if binary % 2 else "")
        for test in range(chance.choice([3, 12, 40])):
            millis = chance.choice([0, 0, 1, 3])
            text += f"#[test] fn t{test}() {{ takes_a_place({millis}) }}\n"
        write(f"{directory}/tests/b{binary}.rs", text)


def policy(chance):
    keys = [f'policy = "{chance.choice(["auto", "unit", "split"])}"']
    more = ["threads = 1", "threads = 2", "slots = 2", 'locks = ["one"]', "exclusive = true",
            'recycle = "on-failure"', "recycle = 3"]
    keys += chance.sample(more, chance.choice([0, 0, 1, 2]))
    if chance.random() < 0.15 and "split" in keys[0]:
        keys.append("isolate = true")
    kept = {key.split(" =")[0]: key for key in keys}
    return "{ " + ", ".join(kept.values()) + " }"


def main():
    program = os.path.abspath(sys.argv[1])
    runs = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    seed = int(sys.argv[3]) if len(sys.argv) > 3 else random.randrange(10**6)
    print(f"seed {seed}")
    chance = random.Random(seed)
    directory = tempfile.mkdtemp(prefix="partest-stress-")
    try:
        package(directory, chance)
        for run in range(runs):
            metadata = "[package.metadata.partest.modules]\n"
            for binary in range(BINARIES):
                metadata += f"b{binary} = {policy(chance)}\n"
            write(f"{directory}/Cargo.toml", MANIFEST + metadata)
            slots, places = chance.choice([1, 2, 3, 5, 8]), f"{directory}/places"
            if chance.random() < 0.5:
                shutil.rmtree(f"{directory}/target/partest", ignore_errors=True)
            shutil.rmtree(places, ignore_errors=True)
            os.mkdir(places)
            environment = {**os.environ, "PLACES": places, "SLOTS": str(slots)}
            command = [program, "partest", f"-j{slots}", "--no-fail-fast"]
            ran = subprocess.run(command, cwd=directory, env=environment, capture_output=True,
                                 text=True, check=False)
            if ran.returncode != 0:
                print(metadata, ran.stdout, ran.stderr, sep="\n")
                sys.exit(f"run {run} with -j{slots} ended with {ran.returncode}")
        print(f"{runs} runs: no test ran above -j")
    finally:
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
