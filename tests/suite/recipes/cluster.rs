//! A cluster of one node: Slurm's own daemons, from the system's packages.

use std::net::TcpListener;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};

use crate::fixture::{await_that, skip};

const NODE: &str = "node";

pub struct Cluster {
    directory: tempfile::TempDir,
    daemons: Vec<Child>,
}

impl Cluster {
    /// None where Slurm is not installed.
    pub fn start() -> Option<Cluster> {
        // Daemons are not in everybody's PATH.
        let is_there = |name: &str| {
            let path = std::env::var_os("PATH").unwrap_or_default();
            let mut places: Vec<PathBuf> = std::env::split_paths(&path).collect();
            places.push("/usr/sbin".into());
            places.iter().map(|place| place.join(name)).find(|program| program.is_file())
        };
        let programs = ["slurmctld", "slurmd", "sbatch"].map(is_there);
        let [Some(controller), Some(node), Some(_)] = programs else {
            skip("Slurm is not installed (Debian: apt-get install slurmctld slurmd slurm-client)");
            return None;
        };
        let mut cluster = Cluster { directory: tempfile::tempdir().unwrap(), daemons: Vec::new() };
        cluster.configure();
        cluster.daemon(Command::new(controller).args(["-D", "-i"]), "controller.out");
        cluster.daemon(Command::new(node).args(["-D", "-N", NODE]), "node.out");
        await_that(
            &format!("a node that is idle: see {}", cluster.directory.path().display()),
            || cluster.ask("sinfo", &["--noheader", "--format=%T"]).trim() == "idle",
        );
        Some(cluster)
    }

    pub fn configuration(&self) -> PathBuf {
        self.directory.path().join("slurm.conf")
    }

    fn configure(&self) {
        let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        let host = host.trim().split('.').next().unwrap();
        let here = self.directory.path().display();
        let user = rustix::process::geteuid().as_raw();
        let listeners = [0, 0].map(|port| TcpListener::bind(("127.0.0.1", port)).unwrap());
        let [first, second] = listeners.map(|listener| listener.local_addr().unwrap().port());
        for directory in ["state", "spool"] {
            std::fs::create_dir(self.directory.path().join(directory)).unwrap();
        }
        let text = format!(
            "ClusterName=shop\n\
             SlurmctldHost={host}(127.0.0.1)\nSlurmctldPort={first}\nSlurmdPort={second}\n\
             SlurmUser={user}\nSlurmdUser={user}\n\
             AuthType=auth/none\nCredType=cred/none\n\
             StateSaveLocation={here}/state\nSlurmdSpoolDir={here}/spool\n\
             SlurmctldPidFile={here}/controller.pid\nSlurmdPidFile={here}/node.pid\n\
             SlurmctldLogFile={here}/controller.log\nSlurmdLogFile={here}/node.log\n\
             ProctrackType=proctrack/linuxproc\nTaskPlugin=task/none\nMpiDefault=none\n\
             SelectType=select/cons_tres\nSelectTypeParameters=CR_Core\n\
             SchedulerType=sched/builtin\n\
             SchedulerParameters=batch_sched_delay=0,sched_interval=1,sched_min_interval=0\n\
             KillWait=1\nReturnToService=2\n\
             NodeName={NODE} NodeHostname={host} NodeAddr=127.0.0.1 CPUs=2 State=UNKNOWN\n\
             PartitionName=all Nodes=ALL Default=YES MaxTime=INFINITE State=UP\n"
        );
        std::fs::write(self.configuration(), text).unwrap();
        std::fs::write(self.directory.path().join("cgroup.conf"), "CgroupPlugin=cgroup/v1\n")
            .unwrap();
    }

    /// A daemon does not outlive the whole suite, whatever becomes of this test.
    fn daemon(&mut self, command: &Command, output: &str) {
        let output = std::fs::File::create(self.directory.path().join(output)).unwrap();
        let mut bounded = Command::new("timeout");
        bounded.args(["--kill-after=5", "300"]).arg(command.get_program()).args(command.get_args());
        bounded.env("SLURM_CONF", self.configuration()).stdin(Stdio::null());
        bounded.stdout(output.try_clone().unwrap()).stderr(output);
        self.daemons.push(bounded.spawn().unwrap());
    }

    fn ask(&self, program: &str, words: &[&str]) -> String {
        let mut command = Command::new(program);
        let ran = command.args(words).env("SLURM_CONF", self.configuration()).output().unwrap();
        String::from_utf8_lossy(&ran.stdout).into_owned()
    }

    /// The elements of arrays that have not ended: `3_2 RUNNING`, `3_[2-3] PENDING`.
    pub fn elements(&self) -> Vec<String> {
        let jobs = self.ask("squeue", &["--noheader", "--format=%i %T"]);
        jobs.lines().filter(|job| job.contains('_')).map(|job| job.trim().to_owned()).collect()
    }

    /// The processes of elements of arrays.
    fn processes(&self) -> Vec<Pid> {
        let ours = format!("SLURM_CONF={}\0", self.configuration().display()).into_bytes();
        let has = |environment: &[u8], words: &[u8]| {
            environment.windows(words.len()).any(|window| window == words)
        };
        let entries = std::fs::read_dir("/proc").unwrap();
        let pids = entries.filter_map(|entry| entry.unwrap().file_name().to_str()?.parse().ok());
        let is_one = |pid: &i32| {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
            has(&environment, &ours) && has(&environment, b"SLURM_ARRAY_TASK_ID=")
        };
        pids.filter(is_one).filter_map(Pid::from_raw).collect()
    }

    /// The node fails under this element, which then waits for a node, and is back when all that ran
    /// there has ended.
    pub fn fail_the_node(&self, element: &str) {
        let node = format!("NodeName={NODE}");
        self.ask("scontrol", &["update", &node, "State=DOWN", "Reason=failed"]);
        let waits = vec![format!("{element} PENDING")];
        await_that("the element waits", || self.elements() == waits);
        // The node's daemon has heard of it first, and accepts nothing of the element any more that was
        // signed in this second: that is why Slurm itself would give it two minutes.
        await_that("nothing runs on the node", || self.processes().is_empty());
        self.ask("scontrol", &["update", &node, "State=RESUME"]);
        let job = format!("JobId={element}");
        self.ask("scontrol", &["update", &job, "StartTime=now+2"]);
    }

    /// What the daemon that decides about jobs has to say.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("controller.log")).unwrap_or_default()
    }

    /// How many jobs have been started more than once.
    pub fn started_again(&self) -> usize {
        let jobs = self.ask("scontrol", &["show", "jobs"]);
        jobs.matches("Restarts=").count() - jobs.matches("Restarts=0").count()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // Jobs end before the daemons that could end them.
        let user = rustix::process::geteuid().as_raw().to_string();
        self.ask("scancel", &["--user", &user]);
        for _ in 0..200 {
            if self.ask("squeue", &["--noheader"]).trim().is_empty() {
                break;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        for daemon in self.daemons.iter_mut().rev() {
            // `timeout` passes it on.
            let _ = kill_process(Pid::from_child(daemon), Signal::TERM);
            let _ = daemon.wait();
        }
    }
}
