// Command clientgo puts a cluster through what programs written with client-go do: informers under
// churn, server-side apply from typed configurations, leader election, a controller-runtime manager.
//
//	KUBECONFIG=F clientgo informers|clients|apply|election|manager|exec
//
// It says what it found, one line a fact, and ends with 0, or says what differed and ends with 1.
package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
)

// limit ends a program that waits for what never comes.
const limit = 4 * time.Minute

var commands = map[string]func(context.Context, *rest.Config) error{
	"informers": informers,
	"clients":   clients,
	"apply":     applies,
	"election":  election,
	"manager":   managed,
	"exec":      exec,
}

func main() {
	klog.LogToStderr(true)
	command, known := commands[strings.Join(os.Args[1:], " ")]
	if !known {
		fmt.Fprintln(os.Stderr, "usage: KUBECONFIG=F clientgo informers|clients|apply|election|manager|exec")
		os.Exit(2)
	}
	config, err := clientcmd.BuildConfigFromFlags("", os.Getenv("KUBECONFIG"))
	if err == nil {
		config.QPS, config.Burst = -1, -1
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		err = command(ctx, config)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "FAILED:", err)
		os.Exit(1)
	}
}

// say tells one fact that was found to hold.
func say(format string, values ...any) { fmt.Printf("ok: "+format+"\n", values...) }

// unless makes an error of a fact that does not hold.
func unless(holds bool, format string, values ...any) error {
	if holds {
		return nil
	}
	return fmt.Errorf(format, values...)
}

// first returns the first error.
func first(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// eventually asks again until the answer is yes; why is asked for the error when it never is.
func eventually(ctx context.Context, what string, holds func(context.Context) (bool, error)) error {
	err := wait.PollUntilContextTimeout(ctx, 20*time.Millisecond, time.Minute, true, holds)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// namespace makes a namespace of its own for a command.
func namespace(ctx context.Context, client kubernetes.Interface, name string) (string, error) {
	object := newNamespace(name)
	made, err := client.CoreV1().Namespaces().Create(ctx, object, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return made.Name, nil
}
