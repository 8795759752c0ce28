package config

// ClientTLS is how weft and whom it connects to trust each other: members of a pool, an
// agent of Consul, what takes traces. Paths are relative to the configuration file's
// folder.
type ClientTLS struct {
	// CA is a file with the certificates to trust. Empty: those of the system.
	CA string `koanf:"ca" yaml:"ca"`
	// Cert and Key are weft's own, for others that ask for one.
	Cert string `koanf:"cert" yaml:"cert"`
	Key  string `koanf:"key" yaml:"key"`
	// ServerName is the name in the other one's certificate; empty: the address's host.
	ServerName string `koanf:"server_name" yaml:"server_name"`

	// CAFile, CertFile and KeyFile are the resolved paths. Load sets them.
	CAFile   string `koanf:"-" yaml:"-"`
	CertFile string `koanf:"-" yaml:"-"`
	KeyFile  string `koanf:"-" yaml:"-"`
}

// complete sets what follows from other keys.
func (t *ClientTLS) complete(folder string) {
	if t != nil {
		t.CAFile, t.CertFile, t.KeyFile = resolved(folder, t.CA), resolved(folder, t.Cert), resolved(folder, t.Key)
	}
}

func (k *checker) clientTLS(path string, t *ClientTLS) {
	if t == nil {
		return
	}
	switch {
	case t.Cert == "" && t.Key != "":
		k.add(join(path, "cert"), Problem{Cause: "missing value", Expected: "the file of the certificate that tls.key is the key of"})
	case t.Cert != "" && t.Key == "":
		k.add(join(path, "key"), Problem{Cause: "missing value", Expected: "the file of the certificate's private key in PEM"})
	}
	k.pem(join(path, "ca"), t.CA, t.CAFile)
	k.pem(join(path, "cert"), t.Cert, t.CertFile)
	k.pem(join(path, "key"), t.Key, t.KeyFile)
}
