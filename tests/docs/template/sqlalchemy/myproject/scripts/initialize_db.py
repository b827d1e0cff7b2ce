import argparse
import sys

from pyramid.paster import bootstrap, setup_logging

from .. import models


def setup_models(dbsession):
    dbsession.add(models.MyModel(name='one', value=1))


def main(argv=sys.argv):
    parser = argparse.ArgumentParser()
    parser.add_argument('config_uri')
    config_uri = parser.parse_args(argv[1:]).config_uri
    setup_logging(config_uri)
    with bootstrap(config_uri) as env, env['request'].tm:
        setup_models(env['request'].dbsession)
