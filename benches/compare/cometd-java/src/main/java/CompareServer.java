import java.util.Map;
import org.cometd.bayeux.server.BayeuxServer;
import org.cometd.server.AbstractServerTransport;
import org.cometd.server.BayeuxServerImpl;
import org.cometd.server.http.JSONHttpTransport;
import org.cometd.server.http.jakarta.CometDServlet;
import org.cometd.server.websocket.common.AbstractWebSocketTransport;
import org.cometd.server.websocket.jetty.JettyWebSocketTransport;
import org.eclipse.jetty.ee11.servlet.ServletContextHandler;
import org.eclipse.jetty.ee11.servlet.ServletHolder;
import org.eclipse.jetty.server.Context;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.server.ServerConnector;
import org.eclipse.jetty.util.thread.QueuedThreadPool;
import org.eclipse.jetty.websocket.server.WebSocketUpgradeHandler;

/** Usage: CompareServer PORT. A CometD server at http://127.0.0.1:PORT/cometd, with default options but the queue of connections. */
public class CompareServer {
    public static void main(String[] args) throws Exception {
        Server server = new Server(new QueuedThreadPool());
        ServerConnector connector = new ServerConnector(server);
        connector.setHost("127.0.0.1");
        connector.setPort(Integer.parseInt(args[0]));
        connector.setAcceptQueueSize(4096); // Room for a burst of connections.
        connector.setIdleTimeout(60_000); // Longer than a held connect.
        server.addConnector(connector);

        ServletContextHandler context = new ServletContextHandler("/");
        server.setHandler(context);

        BayeuxServerImpl bayeux = new BayeuxServerImpl();
        Map<String, String> options = Map.of(
                BayeuxServerImpl.TRANSPORTS_OPTION,
                JettyWebSocketTransport.class.getName() + "," + JSONHttpTransport.class.getName(),
                AbstractWebSocketTransport.COMETD_URL_MAPPING_OPTION, "/cometd/*",
                AbstractServerTransport.TIMEOUT_OPTION, "30000");
        options.forEach(bayeux::setOption);
        bayeux.setOption(Context.class.getName(), context.getContext());

        // Upgrades go to CometD's WebSocket transport; the rest to the servlet, which finds this
        // BayeuxServer in the context and starts it.
        context.insertHandler(WebSocketUpgradeHandler.from(server, context));
        context.getServletContext().setAttribute(BayeuxServer.ATTRIBUTE, bayeux);
        ServletHolder servlet = new ServletHolder(new CometDServlet());
        servlet.setInitOrder(1);
        servlet.setAsyncSupported(true);
        context.addServlet(servlet, "/cometd/*");

        server.start();
        server.join();
    }
}
