// Package pki makes the certificates and keys of a cluster, once: a second
// call finds them and leaves them.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// validity is how long everything made here is good for. The cluster is for a
// demo and for tests; nothing rotates its certificates.
const validity = 10 * 365 * 24 * time.Hour

// Authority signs certificates and keeps its own in Dir.
type Authority struct {
	Dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// Open reads the authority in dir, and makes it when there is none.
func Open(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &Authority{Dir: dir}
	if _, err := os.Stat(a.File("ca.key")); os.IsNotExist(err) {
		if err := a.create(); err != nil {
			return nil, err
		}
	}
	var err error
	if a.key, err = readKey(a.File("ca.key")); err != nil {
		return nil, err
	}
	a.cert, err = readCertificate(a.File("ca.crt"))
	return a, err
}

// File is the path of a file of this authority.
func (a *Authority) File(name string) string { return filepath.Join(a.Dir, name) }

func (a *Authority) create() error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject: pkix.Name{CommonName: "headrace test cluster"}, IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature | x509.KeyUsageCRLSign,
	}
	if err := write(a.File("ca.crt"), template, template, &key.PublicKey, key); err != nil {
		return err
	}
	// The key last: it is what says that the authority is complete.
	return writeKey(a.File("ca.key"), key)
}

// Identity is whose certificate to make.
type Identity struct {
	Name   string   // of the files, .crt and .key
	User   string   // common name: the user, to the API server
	Groups []string // organizations: the user's groups
	Hosts  []string // names and addresses it serves
}

// Issue makes the certificate of an identity, unless it is there.
func (a *Authority) Issue(id Identity) error {
	if _, err := os.Stat(a.File(id.Name + ".crt")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		Subject:     pkix.Name{CommonName: id.User, Organization: id.Groups},
		KeyUsage:    x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	for _, host := range id.Hosts {
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth}
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	if err := writeKey(a.File(id.Name+".key"), key); err != nil {
		return err
	}
	return write(a.File(id.Name+".crt"), template, a.cert, &key.PublicKey, a.key)
}

// Kubeconfig writes a kubeconfig with an identity's certificate to name.
func (a *Authority) Kubeconfig(name, server string, id Identity) error {
	if err := a.Issue(id); err != nil {
		return err
	}
	var data [3]string
	for i, file := range []string{"ca.crt", id.Name + ".crt", id.Name + ".key"} {
		raw, err := os.ReadFile(a.File(file))
		if err != nil {
			return err
		}
		data[i] = base64.StdEncoding.EncodeToString(raw)
	}
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: headrace
contexts: [{name: headrace, context: {cluster: headrace, user: %s}}]
clusters: [{name: headrace, cluster: {server: %q, certificate-authority-data: %s}}]
users: [{name: %s, user: {client-certificate-data: %s, client-key-data: %s}}]
`, id.Name, server, data[0], id.Name, data[1], data[2])
	return os.WriteFile(name, []byte(text), 0o600)
}

// SigningKey makes the key pair of the service account tokens: sa.key, sa.pub.
func (a *Authority) SigningKey() error {
	if _, err := os.Stat(a.File("sa.pub")); err == nil {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	if err := writeKey(a.File("sa.key"), key); err != nil {
		return err
	}
	der, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	if err != nil {
		return err
	}
	return writePEM(a.File("sa.pub"), "PUBLIC KEY", der)
}

func write(file string, template, parent *x509.Certificate, public *ecdsa.PublicKey, signer *ecdsa.PrivateKey) error {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return err
	}
	template.SerialNumber = serial
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = template.NotBefore.Add(validity)
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, signer)
	if err != nil {
		return fmt.Errorf("signing %s: %w", file, err)
	}
	return writePEM(file, "CERTIFICATE", der)
}

func writeKey(file string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return writePEM(file, "EC PRIVATE KEY", der)
}

func writePEM(file, kind string, der []byte) error {
	return os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600)
}

func readKey(file string) (*ecdsa.PrivateKey, error) {
	der, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	return x509.ParseECPrivateKey(der)
}

func readCertificate(file string) (*x509.Certificate, error) {
	der, err := readPEM(file)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

func readPEM(file string) ([]byte, error) {
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(raw)
	if block == nil {
		return nil, fmt.Errorf("%s holds no PEM block", file)
	}
	return block.Bytes, nil
}
