package build

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
)

// ASCVersion is the version of AssemblyScript that weft's SDK is tested with.
const ASCVersion = "0.28.20"

const ascBelow = "node_modules/assemblyscript/bin/asc.js"

// findASC is how the compiler is called: one that was named, or the one of a
// node_modules in the plugin's folder or above it, or the one on the PATH.
func (b *Builder) findASC(p *Plugin) ([]string, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, &MissingError{"node", "on Debian: apt-get install -y nodejs npm"}
	}
	if b.cfg.ASC != "" {
		if _, err := os.Stat(b.cfg.ASC); err != nil {
			return nil, &MissingError{"AssemblyScript", b.cfg.InstallASC}
		}
		return []string{node, b.cfg.ASC}, nil
	}
	for folder := p.Folder; ; folder = filepath.Dir(folder) {
		asc := filepath.Join(folder, ascBelow)
		if _, err := os.Stat(asc); err == nil {
			return []string{node, asc}, nil
		}
		if folder == filepath.Dir(folder) {
			break
		}
	}
	if asc, err := exec.LookPath("asc"); err == nil {
		return []string{asc}, nil
	}
	install := "run: npm install --prefix " + p.Folder
	if _, err := os.Stat(filepath.Join(p.Folder, "package.json")); err != nil {
		install = "run: npm install --global assemblyscript@" + ASCVersion
	}
	if _, err := exec.LookPath("npm"); err != nil {
		install = "on Debian: apt-get install -y npm; then " + install
	}
	return nil, &MissingError{"AssemblyScript", install}
}

func (b *Builder) assemblyScript(ctx context.Context, p *Plugin, out string) error {
	compiler, err := b.findASC(p)
	if err != nil {
		return err
	}
	if b.asPath == "" {
		sdk, err := b.sdk(AssemblyScript)
		if err != nil {
			return err
		}
		path := filepath.Join(b.cfg.Temp, "as")
		if err := os.MkdirAll(path, 0o755); err != nil {
			return err
		}
		if err := os.Symlink(sdk, filepath.Join(path, "weft")); err != nil {
			return err
		}
		b.asPath = path
	}
	source := filepath.Join(p.Folder, p.Source)
	args := append(compiler[1:], filepath.Base(source), "--path", b.asPath,
		"--runtime", "minimal", "-O3", "--converge", "--noAssert", "--use", "abort=", "--outFile", out)
	_, err = command(ctx, filepath.Dir(source), nil, compiler[0], args...)
	return err
}
