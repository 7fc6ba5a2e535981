// Gophercloud against the hub: in a region of one site each and in the region
// of all, each kind of thing is listed, made, shown and deleted. Prints a line
// for each step; the first that goes wrong ends the program with status 1.
//
//	OS_CLIENT_CONFIG_FILE=build/demo/clouds.yaml OS_CLOUD=isthmus peers REGION[=SITE]...
//
// REGION=SITE: what is made in REGION names SITE as its zone.
package main

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/gophercloud/gophercloud/v2"
	"github.com/gophercloud/gophercloud/v2/openstack"
	"github.com/gophercloud/gophercloud/v2/openstack/blockstorage/v3/volumes"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/flavors"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/keypairs"
	"github.com/gophercloud/gophercloud/v2/openstack/compute/v2/servers"
	"github.com/gophercloud/gophercloud/v2/openstack/config"
	"github.com/gophercloud/gophercloud/v2/openstack/config/clouds"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/imagedata"
	"github.com/gophercloud/gophercloud/v2/openstack/image/v2/images"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/networks"
	"github.com/gophercloud/gophercloud/v2/openstack/networking/v2/subnets"
	"github.com/gophercloud/gophercloud/v2/pagination"
)

// A region, and the clients of its services; zone is empty where none is named.
type region struct {
	name, zone, prefix              string
	compute, network, image, volume *gophercloud.ServiceClient
}

var ctx = context.Background()

func main() {
	for _, word := range os.Args[1:] {
		name, zone, _ := strings.Cut(word, "=")
		r := logIn(name, zone)
		r.flavors()
		r.keypair()
		r.networkAndSubnet()
		r.imageWithData()
		r.volumeMade()
		r.server()
	}
}

// step says what happened, or that it went wrong, and ends there.
func (r *region) step(err error, what string, about ...any) {
	line := fmt.Sprintf("%-6s %s", r.name, fmt.Sprintf(what, about...))
	if err != nil {
		fmt.Printf("%s: WRONG: %v\n", line, err)
		os.Exit(1)
	}
	fmt.Println(line)
}

func (r *region) hold(does bool, what string, about ...any) {
	if !does {
		r.step(errors.New("it does not hold"), what, about...)
	}
}

// gone holds if asking for the thing once more says 404.
func (r *region) gone(what string, get func() error) {
	err := errors.New("it is still there")
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(time.Second) {
		again := get()
		if gophercloud.ResponseCodeIs(again, http.StatusNotFound) {
			err = nil
			break
		}
		if again != nil {
			err = again
			break
		}
	}
	r.step(err, "%s: gone", what)
}

func (r *region) call(what string) string {
	return r.prefix + "-" + what
}

// ------------------------------------------------------------------------------------------------------------ login

func logIn(name, zone string) *region {
	var random [3]byte
	rand.Read(random[:])
	r := &region{name: name, zone: zone, prefix: "peer-" + hex.EncodeToString(random[:])}
	auth, endpoints, tls, err := clouds.Parse(clouds.WithRegion(name))
	r.step(err, "clouds.yaml")
	r.hold(!auth.AllowReauth, "no login but the first")
	provider, err := config.NewProviderClient(ctx, auth, config.WithTLSConfig(tls))
	r.step(err, "login")
	r.compute, err = openstack.NewComputeV2(provider, endpoints)
	r.step(err, "compute")
	r.compute.Microversion = "2.79"
	r.network, err = openstack.NewNetworkV2(provider, endpoints)
	r.step(err, "network")
	r.image, err = openstack.NewImageV2(provider, endpoints)
	r.step(err, "image")
	r.volume, err = openstack.NewBlockStorageV3(provider, endpoints)
	r.step(err, "volume")
	return r
}

// listed collects all rows, page by page.
func listed[Row any](
	r *region, what string, pager pagination.Pager, extract func(pagination.Page) ([]Row, error),
) []Row {
	var rows []Row
	pages := 0
	err := pager.EachPage(ctx, func(_ context.Context, page pagination.Page) (bool, error) {
		more, err := extract(page)
		rows = append(rows, more...)
		pages++
		return err == nil, err
	})
	r.step(err, "%s: %d in %d pages", what, len(rows), pages)
	return rows
}

// paged walks a list by pages of two and as a whole: the same ids in the same order, each once, that one among them.
func paged[Row any](r *region, what string, two, whole pagination.Pager, extract func(pagination.Page) ([]Row, error),
	id func(Row) string, one string,
) {
	walked, all := idsOf(listed(r, what, two, extract), id), idsOf(listed(r, what, whole, extract), id)
	r.hold(slices.Contains(all, one), "%s: %s is listed", what, one)
	r.hold(slices.Equal(walked, all), "%s: pages %v are the list %v", what, walked, all)
	slices.Sort(all)
	r.hold(len(slices.Compact(slices.Clone(all))) == len(all), "%s: each is listed once", what)
}

func idsOf[Row any](rows []Row, id func(Row) string) []string {
	var ids []string
	for _, row := range rows {
		ids = append(ids, id(row))
	}
	return ids
}

// ---------------------------------------------------------------------------------------------------------- compute

func (r *region) flavorCalled(name string) string {
	for _, row := range listed(r, "flavors", flavors.ListDetail(r.compute, nil), flavors.ExtractFlavors) {
		if row.Name == name {
			return row.ID
		}
	}
	r.step(errors.New("there is none"), "flavor %s", name)
	return ""
}

func (r *region) flavors() {
	paged(r, "flavors", flavors.ListDetail(r.compute, flavors.ListOpts{Limit: 2}), flavors.ListDetail(r.compute, nil),
		flavors.ExtractFlavors, func(row flavors.Flavor) string { return row.ID }, r.flavorCalled("m1.nano"))
}

func (r *region) keypair() {
	key, err := keypairs.Create(ctx, r.compute, keypairs.CreateOpts{Name: r.call("key")}).Extract()
	r.step(err, "keypair: made")
	r.hold(strings.Contains(key.PrivateKey, "PRIVATE KEY"), "a private key")
	names := idsOf(listed(r, "keypairs", keypairs.List(r.compute, nil), keypairs.ExtractKeyPairs),
		func(row keypairs.KeyPair) string { return row.Name })
	r.hold(slices.Contains(names, key.Name), "keypair %s is listed", key.Name)
	r.step(keypairs.Delete(ctx, r.compute, key.Name, nil).ExtractErr(), "keypair: deleted")
	r.gone("keypair", func() error { return keypairs.Get(ctx, r.compute, key.Name, nil).Err })
}

// server boots from an image and on a network of the site that its zone names.
func (r *region) server() {
	at := r
	if r.zone != "" {
		at = logIn(r.zone, "")
	}
	made, err := servers.Create(ctx, r.compute, servers.CreateOpts{
		Name: r.call("server"), FlavorRef: r.flavorCalled("m1.nano"), ImageRef: at.imageCalled("debian-12"),
		Networks: []servers.Network{{UUID: at.networkCalled("shop-net")}}, AvailabilityZone: r.zone,
	}, nil).Extract()
	r.step(err, "server: made")
	waiting, cancel := context.WithTimeout(ctx, 3*time.Minute)
	defer cancel()
	r.step(servers.WaitForStatus(waiting, r.compute, made.ID, "ACTIVE"), "server: active")
	paged(r, "servers", servers.List(r.compute, servers.ListOpts{Limit: 2}), servers.List(r.compute, nil),
		servers.ExtractServers, func(row servers.Server) string { return row.ID }, made.ID)
	shown, err := servers.Get(ctx, r.compute, made.ID).Extract()
	r.step(err, "server: shown")
	r.hold(shown.Name == r.call("server") && len(shown.Addresses) == 1, "the server's name and addresses")
	r.hold(r.zone == "" || shown.AvailabilityZone == r.zone, "the server's zone")
	r.step(servers.Delete(ctx, r.compute, made.ID).ExtractErr(), "server: deleted")
	r.gone("server", func() error { return servers.Get(ctx, r.compute, made.ID).Err })
}

// ---------------------------------------------------------------------------------------------------------- network

func (r *region) networkCalled(name string) string {
	rows := listed(r, "networks", networks.List(r.network, networks.ListOpts{Name: name}), networks.ExtractNetworks)
	r.hold(len(rows) == 1, "one network %s", name)
	return rows[0].ID
}

// hinted says where a network shall be; CreateOpts of gophercloud has no member for it.
type hinted struct {
	networks.CreateOpts
	zone string
}

func (h hinted) ToNetworkCreateMap() (map[string]any, error) {
	body, err := h.CreateOpts.ToNetworkCreateMap()
	if err == nil && h.zone != "" {
		body["network"].(map[string]any)["availability_zone_hints"] = []string{h.zone}
	}
	return body, err
}

func (r *region) networkAndSubnet() {
	made, err := networks.Create(ctx, r.network, hinted{networks.CreateOpts{Name: r.call("net")}, r.zone}).Extract()
	r.step(err, "network: made")
	subnet, err := subnets.Create(ctx, r.network, subnets.CreateOpts{
		NetworkID: made.ID, Name: r.call("subnet"), CIDR: "10.97.3.0/24", IPVersion: gophercloud.IPv4,
	}).Extract()
	r.step(err, "subnet: made")
	paged(r, "networks", networks.List(r.network, networks.ListOpts{Limit: 2}), networks.List(r.network, nil),
		networks.ExtractNetworks, func(row networks.Network) string { return row.ID }, made.ID)
	paged(r, "subnets", subnets.List(r.network, subnets.ListOpts{Limit: 2}), subnets.List(r.network, nil),
		subnets.ExtractSubnets, func(row subnets.Subnet) string { return row.ID }, subnet.ID)
	r.step(subnets.Delete(ctx, r.network, subnet.ID).ExtractErr(), "subnet: deleted")
	r.gone("subnet", func() error { return subnets.Get(ctx, r.network, subnet.ID).Err })
	r.step(networks.Delete(ctx, r.network, made.ID).ExtractErr(), "network: deleted")
	r.gone("network", func() error { return networks.Get(ctx, r.network, made.ID).Err })
}

// ------------------------------------------------------------------------------------------------------------ image

func (r *region) imageCalled(name string) string {
	rows := listed(r, "images", images.List(r.image, images.ListOpts{Name: name}), images.ExtractImages)
	r.hold(len(rows) == 1, "one image %s", name)
	return rows[0].ID
}

func (r *region) imageWithData() {
	data := make([]byte, 1<<20)
	rand.Read(data)
	sum := md5.Sum(data)
	made, err := images.Create(ctx, r.image, images.CreateOpts{
		Name: r.call("image"), DiskFormat: "raw", ContainerFormat: "bare",
	}).Extract()
	r.step(err, "image: made")
	r.step(imagedata.Upload(ctx, r.image, made.ID, bytes.NewReader(data)).ExtractErr(), "image: uploaded")
	shown, err := images.Get(ctx, r.image, made.ID).Extract()
	r.step(err, "image: shown")
	r.hold(shown.Status == images.ImageStatusActive && shown.Checksum == hex.EncodeToString(sum[:]), "the checksum")
	stream, err := imagedata.Download(ctx, r.image, made.ID).Extract()
	r.step(err, "image: downloads")
	back, err := io.ReadAll(stream)
	stream.Close()
	r.step(err, "image: %d bytes", len(back))
	r.hold(bytes.Equal(back, data), "the same bytes")
	paged(r, "images", images.List(r.image, images.ListOpts{Limit: 2}), images.List(r.image, nil),
		images.ExtractImages, func(row images.Image) string { return row.ID }, made.ID)
	r.step(images.Delete(ctx, r.image, made.ID).ExtractErr(), "image: deleted")
	r.gone("image", func() error { return images.Get(ctx, r.image, made.ID).Err })
}

// ----------------------------------------------------------------------------------------------------------- volume

func (r *region) volumeMade() {
	made, err := volumes.Create(ctx, r.volume, volumes.CreateOpts{
		Name: r.call("volume"), Size: 1, AvailabilityZone: r.zone,
	}, nil).Extract()
	r.step(err, "volume: made")
	waiting, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	r.step(volumes.WaitForStatus(waiting, r.volume, made.ID, "available"), "volume: available")
	paged(r, "volumes", volumes.List(r.volume, volumes.ListOpts{Limit: 2}), volumes.List(r.volume, nil),
		volumes.ExtractVolumes, func(row volumes.Volume) string { return row.ID }, made.ID)
	r.step(volumes.Delete(ctx, r.volume, made.ID, nil).ExtractErr(), "volume: deleted")
	r.gone("volume", func() error { return volumes.Get(ctx, r.volume, made.ID).Err })
}
