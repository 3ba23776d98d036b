//! The folder of an export: empty before, and as it was before where the export does not come to its end.

use std::{
    fs,
    io::ErrorKind,
    path::{Path, PathBuf},
};

use super::manifest;
use crate::failure::Failure;

/// A folder that is being filled. Dropped before it is [`Filling::done`], it takes with it what was begun.
pub(super) struct Filling {
    folder: PathBuf,
    /// The folders that were made for it, the innermost first.
    made: Vec<PathBuf>,
    done: bool,
}

impl Filling {
    /// Makes the folder where it is not there.
    pub(super) fn begin(folder: &Path) -> Result<Self, Failure> {
        must_be_empty(folder)?;
        let made = folder.ancestors().take_while(|path| !path.exists()).map(Path::to_owned).collect();
        let filling = Filling { folder: folder.to_owned(), made, done: false };
        fs::create_dir_all(folder).map_err(Failure::file(folder))?;
        Ok(filling)
    }

    /// Everything is in its place, and stays.
    pub(super) fn done(mut self) {
        self.done = true;
    }
}

impl Drop for Filling {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        // It was empty: whatever is in it was begun here.
        for begun in fs::read_dir(&self.folder).into_iter().flatten().flatten() {
            _ = fs::remove_file(begun.path());
        }
        for folder in &self.made {
            _ = fs::remove_dir(folder);
        }
    }
}

/// Says what is in a folder in which there must be nothing: whoever is killed cannot clear away what they began.
pub(super) fn must_be_empty(folder: &Path) -> Result<(), Failure> {
    let is_empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == ErrorKind::NotFound => true,
        Err(error) => return Err(Failure::file(folder)(error)),
    };
    let shown = folder.display();
    if folder.join(manifest::NAME).exists() {
        Err(Failure::Wrong(format!("{shown} holds an export already")))
    } else if is_empty {
        Ok(())
    } else {
        Err(Failure::Wrong(format!(
            "{shown} is not empty: without {} it holds no export, perhaps the beginning of one that was killed; \
             remove it, or name another folder",
            manifest::NAME
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Folder;

    #[test]
    fn a_folder_that_is_not_filled_to_the_end_is_as_it_was_before() {
        let outer = Folder::new();
        let (made, there) = (outer.path().join("a/b"), outer.path().join("there"));
        fs::create_dir(&there).unwrap();
        for folder in [&made, &there] {
            let filling = Filling::begin(folder).unwrap();
            fs::write(folder.join("events.csv"), "half").unwrap();
            drop(filling);
        }
        assert!(!outer.path().join("a").exists());
        must_be_empty(&there).unwrap();
        assert!(there.exists());
        let filling = Filling::begin(&made).unwrap();
        fs::write(made.join("events.csv"), "whole").unwrap();
        filling.done();
        assert_eq!(fs::read_to_string(made.join("events.csv")).unwrap(), "whole");
    }

    #[test]
    fn what_somebody_who_was_killed_has_left_is_told_and_stays() {
        let folder = Folder::new();
        let half = folder.path().join("events.csv");
        fs::write(&half, "half").unwrap();
        let refused = Filling::begin(folder.path()).map(drop).unwrap_err().to_string();
        assert!(refused.contains("without manifest.json it holds no export"), "{refused}");
        assert!(half.exists());
        fs::write(folder.path().join("manifest.json"), "{}").unwrap();
        let refused = Filling::begin(folder.path()).map(drop).unwrap_err().to_string();
        assert!(refused.ends_with("holds an export already"), "{refused}");
    }
}
