//! A wall clock that tests can set, for a real host.

use std::path::PathBuf;
use std::process::Command;

use super::Setup;

/// Stands before the C library's clock, and adds the seconds that a file says.
const SHIM: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>
int clock_gettime(clockid_t id, struct timespec *at) {
    static int (*real)(clockid_t, struct timespec *);
    if (!real) real = dlsym(RTLD_NEXT, "clock_gettime");
    int result = real(id, at);
    if (id == CLOCK_REALTIME && result == 0) {
        char text[32] = {0};
        int file = open(getenv("CLOCK_FILE"), O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) at->tv_sec += atol(text);
            close(file);
        }
    }
    return result;
}
"#;

/// The host's wall clock.
pub struct Clock {
    file: PathBuf,
}

impl Clock {
    /// So many seconds ahead of this machine's, from now on.
    ///
    /// # Panics
    /// If the file system doesn't play along.
    pub fn set(&self, seconds: i64) {
        std::fs::write(&self.file, seconds.to_string()).expect("a temporary folder");
    }
}

impl Setup {
    /// Hosts that are started from now on go by this clock.
    ///
    /// # Panics
    /// Without a C compiler.
    pub fn with_clock(&mut self) -> Clock {
        let folder = self.folder.path();
        let (source, shim, file) =
            (folder.join("shim.c"), folder.join("shim.so"), folder.join("clock"));
        std::fs::write(&source, SHIM).expect("a temporary folder");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-o"]).arg(&shim).arg(&source).arg("-ldl");
        assert!(compiler.status().is_ok_and(|status| status.success()), "the shim compiles");
        self.environment.push(("CLOCK_FILE", file.display().to_string()));
        self.environment.push(("LD_PRELOAD", shim.display().to_string()));
        let clock = Clock { file };
        clock.set(0);
        clock
    }
}
