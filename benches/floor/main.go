// floor measures client-go against a server that does nothing: it reads each request and answers the same ConfigMap.
// It shows about what client-go and the machine take by themselves. It is no hard limit: this server is Go's own, and
// another one that does nothing may be faster.
//
//	go run .            # starts such a server as a process of its own, and measures
//	go run . FILE       # measures the server of a kubeconfig, with the same requests
package main

import (
	"bufio"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	requests = 3000
	writers  = 32
	conns    = 4
	lasts    = 5 * time.Second
)

var kilobyte = strings.Repeat("0123456789abcdef", 62)

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "floor:", err)
		os.Exit(1)
	}
}

// serve answers every request with the same object until its standard input ends.
func serve() {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	about := x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, &about, &about, key.Public(), key)
	must(err)
	own := tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{NextProtos: []string{"h2"}, Certificates: []tls.Certificate{own}})
	must(err)
	body := fmt.Appendf(nil, `{"kind":"ConfigMap","apiVersion":"v1","metadata":{"name":"floor","namespace":"default","resourceVersion":"1"},"data":{"k":%q}}`, kilobyte)
	answer := func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(body)
	}
	go func() { must(http.Serve(listener, http.HandlerFunc(answer))) }()
	fmt.Println("https://" + listener.Addr().String())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

// idle starts a process that serves, and gives the way to it and the way to end it.
func idle() (*rest.Config, func()) {
	server := exec.Command(os.Args[0], "serve")
	stop, err := server.StdinPipe()
	must(err)
	out, err := server.StdoutPipe()
	must(err)
	must(server.Start())
	line, err := bufio.NewReader(out).ReadString('\n')
	must(err)
	config := &rest.Config{Host: strings.TrimSpace(line), TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
	return config, func() { _ = stop.Close(); _ = server.Wait() }
}

// client has a connection of its own.
func client(config *rest.Config) *kubernetes.Clientset {
	own := rest.CopyConfig(config)
	own.QPS = -1
	own.Dial = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
	return kubernetes.NewForConfigOrDie(own)
}

func configMap(n int64) *corev1.ConfigMap {
	return &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("floor-%d-%d", os.Getpid(), n)}, Data: map[string]string{"k": kilobyte}}
}

func create(ctx context.Context, to *kubernetes.Clientset, n int64) (*corev1.ConfigMap, error) {
	return to.CoreV1().ConfigMaps("default").Create(ctx, configMap(n), metav1.CreateOptions{})
}

// latency does one after the other.
func latency(what string, do func(n int64) error) {
	times := make([]time.Duration, requests)
	for n := range times {
		began := time.Now()
		must(do(int64(n)))
		times[n] = time.Since(began)
	}
	slices.Sort(times)
	fmt.Printf("%-22s p50 %.3f ms, p10 %.3f, p99 %.3f\n", what, ms(times[len(times)/2]), ms(times[len(times)/10]), ms(times[len(times)*99/100]))
}

func ms(d time.Duration) float64 { return d.Seconds() * 1000 }

func main() {
	if len(os.Args) > 1 && os.Args[1] == "serve" {
		serve()
		return
	}
	ctx := context.Background()
	var config *rest.Config
	end := func() {}
	if len(os.Args) > 1 {
		var err error
		config, err = clientcmd.BuildConfigFromFlags("", os.Args[1])
		must(err)
	} else {
		config, end = idle()
	}
	defer end()
	one := client(config)
	latency("create", func(n int64) error { _, err := create(ctx, one, n); return err })
	latency("GET", func(int64) error {
		_, err := one.CoreV1().ConfigMaps("default").Get(ctx, configMap(0).Name, metav1.GetOptions{})
		return err
	})
	var done atomic.Int64
	var all sync.WaitGroup
	clients := make([]*kubernetes.Clientset, conns)
	for i := range clients {
		clients[i] = client(config)
	}
	until := time.Now().Add(lasts)
	for w := range writers {
		all.Go(func() {
			for time.Now().Before(until) {
				_, err := create(ctx, clients[w%conns], requests+done.Add(1))
				must(err)
			}
		})
	}
	all.Wait()
	fmt.Printf("%-22s %.0f /s\n", "32 writers", float64(done.Load())/lasts.Seconds())
}
