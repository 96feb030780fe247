import pytest

from breastlabel.errors import UnknownNameError
from breastlabel.networks import NETWORKS, PixelLogisticRegression, create_network, network_config


def test_unknown_network_lists_the_valid_ones():
    with pytest.raises(UnknownNameError, match=r"network must be one of .*ultrasound; got 'resnet'"):
        create_network("resnet")


def test_unknown_argument_lists_the_valid_ones():
    with pytest.raises(UnknownNameError, match=r"argument of network 'ultrasound' .*gabor.*; got 'gabour'"):
        create_network("ultrasound", gabour=True)


def test_a_network_without_a_name_has_no_configuration():
    class Other(PixelLogisticRegression):
        pass

    with pytest.raises(UnknownNameError, match="got 'Other'"):
        network_config(Other())


@pytest.mark.parametrize("name", ["ultrasound", "pixel-logistic-regression"])
def test_name_and_class_agree(name):
    network = create_network(name)
    assert type(network) is NETWORKS[name]
    assert network_config(network)["name"] == name
