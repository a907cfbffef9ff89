"""The foundation of all packages: settings, paths, files, the runtime and import closures."""
