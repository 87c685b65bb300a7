use super::*;

fn output_files(most: u64) -> (tempfile::TempDir, Arc<OutputFiles>) {
    let dir = tempfile::tempdir().unwrap();
    let output_files = OutputFiles::with_room(dir.path(), most).unwrap();
    (dir, output_files)
}

fn saved(output_files: &Arc<OutputFiles>, text: &str) -> OutputFile {
    let mut writer = output_files.begin().unwrap();
    writer.write(text.as_bytes());
    writer.finish().unwrap()
}

fn files(dir: &tempfile::TempDir) -> Vec<PathBuf> {
    let runs = fs::read_dir(dir.path().join(PLACE)).into_iter().flatten().flatten();
    let files = runs.flat_map(|run| fs::read_dir(run.path()).unwrap().flatten());
    let mut files: Vec<PathBuf> = files.map(|file| file.path()).collect();
    files.sort();
    files
}

#[test]
fn what_nobody_keeps_is_gone_and_so_are_the_directories() {
    let (dir, output_files) = output_files(MOST);
    let one = saved(&output_files, "one");
    assert_eq!(files(&dir).len(), 1);
    drop(one);
    assert_eq!(files(&dir).len(), 0);
    drop(output_files);
    assert!(!dir.path().join(PLACE).exists());
}

#[test]
fn what_is_kept_is_for_its_user_alone_and_has_a_name() {
    use std::os::unix::fs::MetadataExt;
    let (dir, output_files) = output_files(MOST);
    for (text, name) in [("one", "a::b"), ("two", "a::b"), ("three", "../../x\n\u{1b}/y")] {
        let kept = saved(&output_files, text);
        kept.keep(name);
        let path = kept.path().unwrap().to_owned();
        drop(kept);
        assert_eq!(fs::read_to_string(&path).unwrap(), text);
        let (file, run) = (&path, path.parent().unwrap());
        let modes = [file, run, run.parent().unwrap()].map(|p| fs::metadata(p).unwrap().mode());
        assert_eq!(modes.map(|mode| mode & 0o777), [0o600, 0o700, 0o700]);
    }
    let files = files(&dir);
    let names = files.iter().map(|file| file.file_name().unwrap().to_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), [".._.._x___y.txt", "a.b.3.txt", "a.b.txt"]);
    drop(output_files);
    assert_eq!(self::files(&dir), files);
}

#[test]
fn the_next_run_removes_them_and_spares_those_of_a_run_that_goes_on() {
    let (dir, first) = output_files(MOST);
    saved(&first, "one").keep("one");
    let second = OutputFiles::new(dir.path()).unwrap();
    saved(&second, "two").keep("two");
    assert_eq!(files(&dir).len(), 2);
    drop(first);
    let third = OutputFiles::new(dir.path()).unwrap();
    assert_eq!(files(&dir).len(), 1);
    drop((second, third));
    drop(OutputFiles::new(dir.path()));
    assert!(!dir.path().join(PLACE).exists());
}

#[test]
fn a_link_in_the_place_of_the_directory_is_not_followed() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let precious = elsewhere.path().join("run-precious");
    fs::create_dir(&precious).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), dir.path().join(PLACE)).unwrap();
    let output_files = OutputFiles::new(dir.path()).unwrap();
    assert!(precious.exists());
    assert!(output_files.begin().is_none());
    assert!(output_files.failure().unwrap().1.contains("no directory of this user's"));
    assert_eq!(fs::read_dir(elsewhere.path()).unwrap().count(), 1);
}

#[test]
fn a_link_among_old_directories_is_not_followed() {
    let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    fs::write(elsewhere.path().join("precious"), "").unwrap();
    fs::create_dir(dir.path().join(PLACE)).unwrap();
    std::os::unix::fs::symlink(elsewhere.path(), dir.path().join(PLACE).join("run-x")).unwrap();
    drop(OutputFiles::new(dir.path()));
    assert!(elsewhere.path().join("precious").exists());
}

#[test]
fn a_run_has_so_much_room_and_gets_back_what_is_not_kept() {
    let (_dir, output_files) = output_files(10);
    let first = saved(&output_files, "12345678");
    let mut second = output_files.begin().unwrap();
    second.write(b"1234");
    second.write(b"5");
    let second = second.finish().unwrap();
    assert_eq!((second.written, second.missed), (2, 3));
    assert_eq!(fs::read_to_string(&second.draft).unwrap(), "12");
    drop((first, second));
    assert_eq!(saved(&output_files, "1234567890").missed, 0);
    assert_eq!(output_files.failure(), None);
}

#[test]
fn floods_are_joined_and_cut() {
    let (_dir, output_files) = output_files(MOST);
    let (mut first, mut second) = (output_files.begin().unwrap(), output_files.begin().unwrap());
    first.write(b"one ");
    second.write(b"two and more");
    first.append(second);
    let mut both = first.finish().unwrap();
    both.cut(9);
    assert_eq!(fs::read_to_string(&both.draft).unwrap(), "one two");
    assert_eq!(output_files.left.load(Ordering::Relaxed), MOST - 7);
}

#[test]
fn what_cannot_be_written_is_told_once_and_takes_no_room() {
    let (dir, output_files) = output_files(MOST);
    let mut writer = output_files.begin().unwrap();
    // What a disk says that is full.
    let full = File::options().write(true).open("/dev/full").unwrap();
    writer.file = BufWriter::with_capacity(1, full);
    writer.write(b"one");
    writer.write(b"two");
    assert!(writer.finish().is_none());
    assert!(output_files.failure().unwrap().1.contains("No space left"));
    assert!(output_files.begin().is_none());
    assert!(files(&dir).is_empty());
    assert_eq!(output_files.left.load(Ordering::Relaxed), MOST);
}
