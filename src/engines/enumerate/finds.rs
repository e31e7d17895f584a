use std::collections::{BTreeSet, HashSet};

use super::backups::{backups, is_backup};
use super::recover::Canary;
use super::report::{Found, Source};
use super::run::Run;
use super::score::score;
use super::{Checkpoint, words};

impl Run<'_> {
    /// Adds whole paths, of which those below the base are taken.
    pub(super) fn add_paths(
        &mut self,
        directory: &str,
        depth: u32,
        source: Source,
        paths: Vec<String>,
    ) {
        let directory = if directory.is_empty() {
            &self.base
        } else {
            directory
        };
        let usable = |path: &String| {
            let below = path.strip_prefix(directory);
            below.is_some_and(|below| words::is_usable(below.as_bytes()))
        };
        let paths = paths
            .into_iter()
            .filter_map(|path| String::from_utf8(words::encode(path.as_bytes())).ok());
        let paths = paths.filter(usable).collect();
        self.queue.add_paths(directory, depth, source, paths);
    }

    pub(super) fn add_directory(&mut self, directory: &str, depth: u32) {
        let name = directory.trim_end_matches('/').rsplit('/').next();
        let name = name.unwrap_or_default();
        let seldom = directory.split('/').filter(|part| *part == name).count() < 3;
        let room = self.queue.directories() < self.options.max_directories;
        if depth > self.options.depth || !(seldom || name.is_empty()) {
            return;
        }
        if !room {
            let note = format!(
                "not gone into, as {} directories were: {directory} and perhaps more",
                self.options.max_directories
            );
            if !self.notes.iter().any(|n| n.starts_with("not gone into")) {
                self.notes.push(note);
            }
            return;
        }
        if self.queue.add_directory(directory, depth) {
            let names = spidered_names(&self.options.spidered, directory);
            self.add_paths(directory, depth, Source::Spidered, names);
        }
    }

    /// Goes back to where all was well. What was found since is taken back.
    pub(super) fn rewind(&mut self, to: &Checkpoint) -> u64 {
        let kept: HashSet<_> = to.found.iter().map(|found| found.path.as_str()).collect();
        let gone = self
            .found
            .iter()
            .filter(|f| !kept.contains(f.path.as_str()));
        let gone = gone
            .inspect(|found| self.observer.taken_back(found))
            .count();
        self.queue.restore(to);
        self.found.clone_from(&to.found);
        self.paths = self
            .found
            .iter()
            .enumerate()
            .map(|(i, f)| (f.path.to_lowercase(), i))
            .collect();
        self.lost.clear();
        self.failures = 0;
        gone as u64
    }

    /// Takes what was found, unless it is known.
    pub(super) fn take(&mut self, mut found: Found) -> bool {
        let key = found.path.to_lowercase();
        if let Some(at) = self.paths.get(&key) {
            let known = &self.found[*at];
            let same = known.status == found.status && known.size == found.size;
            if known.path == found.path {
                return false;
            }
            if same && known.title == found.title && known.content_type == found.content_type {
                self.case_insensitive = true;
                return false;
            }
        }
        let learned = self.learned.get(&*found.path).copied();
        score(&mut found, &self.base, self.cms.as_ref(), learned);
        self.observer.found(&found);
        if self.canaries.len() < 3 && !found.prefix {
            self.canaries.push(Canary::new(&found.path, found.status));
        }
        if found.directory {
            let directory = format!("{}/", found.path.trim_end_matches('/'));
            self.add_directory(&directory, found.depth + 1);
        }
        let copies = self.options.backups && !found.prefix && !is_backup(&found.path);
        if copies && (found.directory || found.status == 200) {
            let parent = found.path.trim_end_matches('/');
            let parent = parent[..=parent.rfind('/').unwrap_or(0)].to_owned();
            let copies = backups(&found.path, found.directory);
            self.add_paths(&parent, found.depth, Source::Backup, copies);
        }
        self.paths.insert(key, self.found.len());
        self.found.push(found);
        true
    }
}

/// What a spider saw, as names to try in a directory: each segment of each path.
fn spidered_names(spidered: &[String], directory: &str) -> Vec<String> {
    let mut names = BTreeSet::new();
    for path in spidered {
        let path = path.split(['?', '#']).next().unwrap_or_default();
        names.extend(path.split('/').filter(|segment| !segment.is_empty()));
    }
    let names = names.into_iter();
    names.map(|name| format!("{directory}{name}")).collect()
}
