package main

import (
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/weftrun/weft/plugins"
	"github.com/weftrun/weft/plugins/sign"
)

// signedFile is what --json prints about a signature.
type signedFile struct {
	File string `json:"file"`
	// Keys are the ids of the keys that signed it.
	Keys []string `json:"keys"`
}

func pluginSignCommand(sys system) *cobra.Command {
	var keyFile, out string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "sign PLUGIN.wasm",
		Short: "Signs a plugin's module",
		Long: `Signs a module with a private key. The signature becomes its last section; nothing of what runs is changed, but the file's
SHA-256 is. Several keys may sign one module, in any order; signing again with a key replaces its signature.`,
		Example: `weft plugin sign --key release.pem limiter.wasm
weft plugin sign --key release.pem limiter.wasm -o signed/limiter.wasm`,
		Args: arguments(1, 1, "a plugin's module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if keyFile == "" {
				return usageError("--key is missing: expected the file of a private key; weft plugin keygen makes one")
			}
			if out == "" {
				out = args[0]
			}
			keys, err := signFile(args[0], keyFile, out)
			if err != nil {
				return err
			}
			if err := printSigned(cmd, signedFile{out, keys}, asJSON); err != nil {
				return err
			}
			if !asJSON {
				note(cmd, "next: %s plugin verify --key PUBLIC.pem %s", sys.program, quoted(out))
			}
			return nil
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringVar(&keyFile, "key", "", "`FILE` of the private key")
	cmd.Flags().StringVarP(&out, "output", "o", "", "`FILE` to write (the module itself)")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func signFile(file, keyFile, out string) (keys []string, err error) {
	text, err := readBounded(keyFile, 64<<10)
	if err != nil {
		return nil, fail(exitConfig, err, "")
	}
	key, err := sign.ParsePrivate(text)
	if err != nil {
		return nil, fail(exitConfig, fmt.Errorf("%s: %w", keyFile, err), "")
	}
	wasm, err := readBounded(file, plugins.MaxFile)
	if err != nil {
		return nil, fail(exitConfig, err, "")
	}
	if _, err := plugins.Describe(wasm); err != nil {
		return nil, fail(exitConfig, fmt.Errorf("%s: %w", file, err), "It would not load: it is not signed.")
	}
	signed, err := sign.Sign(wasm, key)
	if errors.Is(err, sign.ErrAltered) {
		return nil, fail(exitConfig, fmt.Errorf("%s: %w", file, err), "Build the plugin again, and sign what comes out.")
	}
	if err != nil {
		return nil, fail(exitConfig, fmt.Errorf("%s: %w", file, err), "")
	}
	if err := replaceFile(out, signed); err != nil {
		return nil, err
	}
	return sign.Signers(signed)
}

// replaceFile writes a file beside its place and moves it there, so that nobody
// sees half of it. A file that is there keeps its mode.
func replaceFile(file string, content []byte) (err error) {
	mode := os.FileMode(0o644)
	if info, err := os.Stat(file); err == nil {
		mode = info.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(file), "."+filepath.Base(file)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.Remove(f.Name()))
		}
	}()
	_, err = f.Write(content)
	if err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}

func pluginVerifyCommand(sys system) *cobra.Command {
	var keyFiles []string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "verify PLUGIN.wasm",
		Short: "Checks who signed a plugin's module",
		Long: `Checks that one of the keys has signed the module and that nothing of it has changed since, and prints which of them have.
If it does not verify, the exit code is 5.`,
		Example: `weft plugin verify --key release.pub.pem limiter.wasm
weft plugin verify --key release.pub.pem --key audit.pub.pem limiter.wasm --json`,
		Args: arguments(1, 1, "a plugin's module"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(keyFiles) == 0 {
				return usageError("--key is missing: expected the file of a public key, once or more")
			}
			wasm, err := readBounded(args[0], plugins.MaxFile)
			if err != nil {
				return fail(exitConfig, err, "")
			}
			trust, err := trustFiles(keyFiles)
			if err != nil {
				return fail(exitConfig, err, "")
			}
			keys, err := trust.Verify(wasm)
			switch {
			case errors.Is(err, sign.ErrUnsigned):
				return fail(exitFailed, fmt.Errorf("%s is %w", args[0], err), fmt.Sprintf("Sign it: %s plugin sign --key NAME.pem %s", sys.program, quoted(args[0])))
			case errors.Is(err, sign.ErrAltered):
				return fail(exitFailed, fmt.Errorf("%s was %w", args[0], err), "Do not use it; get it anew from who signed it.")
			case errors.Is(err, sign.ErrUnknownKey):
				return fail(exitFailed, fmt.Errorf("%s is %w", args[0], err), "Pass the public key of who signed it as --key, if you trust them.")
			case err != nil:
				return fail(exitConfig, fmt.Errorf("%s: %w", args[0], err), "")
			}
			return printSigned(cmd, signedFile{args[0], keys}, asJSON)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().StringArrayVar(&keyFiles, "key", nil, "`FILE` of a public key to trust; more than once for several")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func trustFiles(files []string) (*sign.Trust, error) {
	var keys []ed25519.PublicKey
	for _, file := range files {
		text, err := readBounded(file, 64<<10)
		if err != nil {
			return nil, err
		}
		key, err := sign.ParsePublic(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		keys = append(keys, key)
	}
	return sign.NewTrust(keys...)
}

func printSigned(cmd *cobra.Command, s signedFile, asJSON bool) error {
	if asJSON {
		return json.NewEncoder(cmd.OutOrStdout()).Encode(s)
	}
	fmt.Fprintln(cmd.OutOrStdout(), s.File)
	for _, id := range s.Keys {
		fmt.Fprintf(cmd.OutOrStdout(), "  signed by  %s\n", id)
	}
	return nil
}

// readBounded reads a file of at most limit bytes.
func readBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(b)) > limit {
		err = fmt.Errorf("%s has more than %d bytes", file, limit)
	}
	return b, err
}
